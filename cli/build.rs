//! The console is embedded: built anew, the binary must be too.

fn main() {
    println!("cargo::rerun-if-changed=../console/dist");
}
