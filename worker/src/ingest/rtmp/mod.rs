//! RTMP: the server that publishers push to, and the client that plays.
//!
//! Handshake, AMF0 writing and chunk writing are `rml_rtmp`'s. Reading is
//! ours ([`chunk`], [`amf0`]): the crate's reader takes no interleaved chunk
//! streams, which the protocol allows, and can be made to panic or to exhaust
//! stack and memory by a peer that has not shown a key yet.
//!
//! [`link`] puts these together into a connection without I/O; [`publish`] is
//! the server's side of the commands on top of it, [`play`] the client's.
//! Only [`server`] and [`client`] touch sockets.

mod amf0;
mod chunk;
pub mod client;
mod crowd;
mod link;
mod metadata;
mod place;
mod play;
mod publish;
pub mod server;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod server_tests;

use thiserror::Error;

/// The peer broke the protocol; the connection can't go on.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProtocolError {
    /// The first byte is not RTMP version 3 (plain RTMP).
    #[error("handshake is not RTMP version 3")]
    Handshake,
    /// A chunk refers to a chunk stream that has not begun.
    #[error("chunk header refers to nothing before it")]
    NoPreviousChunk,
    /// A message or a chunk size beyond the bounds.
    #[error("message of {size} bytes exceeds the limit of {limit}")]
    TooLarge {
        /// What the peer announced, bytes.
        size: usize,
        /// What is allowed at this point, bytes.
        limit: usize,
    },
    /// More chunk streams than any RTMP program uses.
    #[error("too many chunk streams")]
    TooManyChunkStreams,
    /// A command or control message that can't be read.
    #[error("malformed {0} message")]
    Malformed(&'static str),
}
