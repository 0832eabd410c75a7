//! The client commands as people and scripts meet them.

mod commands;
mod publish;
mod support;
