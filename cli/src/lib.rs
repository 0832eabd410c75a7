//! `ezlive`: everything on one machine, and the client commands.

pub mod client;
pub mod test_picture;
pub mod up;
