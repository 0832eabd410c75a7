//! The worker as a program of its own: an ECS task.

fn main() -> std::process::ExitCode {
    worker::ffmpeg::shim::run_if_asked();
    worker::run()
}
