//! The client commands as people and scripts meet them.

#[cfg(test)]
mod commands;
#[cfg(test)]
mod publish;
#[cfg(test)]
mod support;
