//! The worker as a program of its own: an ECS task.

fn main() -> std::process::ExitCode {
    worker::ffmpeg::shim::run_if_asked();
    if std::env::args().nth(1).as_deref() == Some("healthy") {
        return worker::health();
    }
    worker::run()
}
