//! One RTMP connection without I/O: bytes in, messages out, and back. Keeps
//! the protocol's housekeeping (handshake, chunk size, acknowledgements,
//! pings) to itself.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};
use rml_rtmp::chunk_io::ChunkSerializer;
use rml_rtmp::handshake::{Handshake, HandshakeProcessResult, PeerType};
use rml_rtmp::messages::{RtmpMessage, UserControlEventType};
use rml_rtmp::rml_amf0::Amf0Value;
use rml_rtmp::time::RtmpTimestamp;

use super::ProtocolError;
use super::amf0;
use super::chunk::{ChunkReader, Message};
use super::metadata;
use crate::ingest::{Metadata, Tag, TagKind};

/// Before a publisher has shown its key: far more than any command needs.
pub const COMMAND_LIMIT: usize = 64 * 1024;
/// After that: a 4K key frame has a tenth of this.
pub const MEDIA_LIMIT: usize = 8 * 1024 * 1024;
/// Chunks we send, bytes: every command in one.
const CHUNK_SIZE: u32 = 4096;

/// What the peer said, housekeeping aside.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// A remote call, or the answer to one.
    Command(Command),
    /// What the stream is like.
    Metadata(Metadata),
    /// Audio or video.
    Tag(Tag),
    /// User Control "Stream EOF": an origin has no more for us.
    StreamEof,
}

/// A command message (RTMP 1.0, section 7.1.1).
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// `connect`, `publish`, `onStatus` and so on.
    pub name: String,
    /// Pairs a call with its answer; 0 wants none.
    pub transaction: f64,
    /// The command object and what follows it.
    pub arguments: Vec<Amf0Value>,
    /// The message stream it came on.
    pub stream_id: u32,
}

/// One end of a connection.
pub struct Link {
    /// Gone once it has completed.
    handshake: Option<Handshake>,
    reader: ChunkReader,
    writer: ChunkSerializer,
    output: Vec<u8>,
    pending: VecDeque<Incoming>,
    received: u64,
    acknowledged: u64,
    /// How often the peer wants to be acknowledged, bytes; 0: never.
    window: u64,
}

impl Link {
    /// The end that was connected to.
    pub fn server() -> Self {
        Self::new(Handshake::new(PeerType::Server))
    }

    /// The end that connects; its first bytes are ready to be sent.
    pub fn client() -> Result<Self, ProtocolError> {
        let mut handshake = Handshake::new(PeerType::Client);
        let first = handshake.generate_outbound_p0_and_p1();
        let mut link = Self::new(handshake);
        link.output = first.map_err(|_| ProtocolError::Handshake)?;
        Ok(link)
    }

    fn new(handshake: Handshake) -> Self {
        Self {
            handshake: Some(handshake),
            reader: ChunkReader::new(COMMAND_LIMIT),
            writer: ChunkSerializer::new(),
            output: Vec::new(),
            pending: VecDeque::new(),
            received: 0,
            acknowledged: 0,
            window: 0,
        }
    }

    /// Allows messages of media size.
    pub fn expect_media(&mut self) {
        self.reader.set_limit(MEDIA_LIMIT);
    }

    /// Whether the handshake is done.
    pub fn is_established(&self) -> bool {
        self.handshake.is_none()
    }

    /// Takes in bytes as they came.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        let Some(handshake) = &mut self.handshake else {
            self.received += bytes.len() as u64;
            self.reader.push(bytes);
            return self.acknowledge();
        };
        let step = handshake
            .process_bytes(bytes)
            .map_err(|_| ProtocolError::Handshake)?;
        match step {
            HandshakeProcessResult::InProgress { response_bytes } => {
                self.output.extend(response_bytes);
            }
            HandshakeProcessResult::Completed {
                response_bytes,
                remaining_bytes,
            } => {
                self.output.extend(response_bytes);
                self.reader.push(&remaining_bytes);
                self.handshake = None;
            }
        }
        Ok(())
    }

    /// What the peer said next, if all of it is there.
    pub fn next_incoming(&mut self) -> Result<Option<Incoming>, ProtocolError> {
        loop {
            if let Some(incoming) = self.pending.pop_front() {
                return Ok(Some(incoming));
            }
            let Some(message) = self.reader.next_message()? else {
                return Ok(None);
            };
            self.handle(message)?;
        }
    }

    /// Queues a message to the peer.
    pub fn send(&mut self, message: RtmpMessage, stream_id: u32) -> Result<(), ProtocolError> {
        let name = "outgoing";
        let payload = message
            .into_message_payload(RtmpTimestamp::new(0), stream_id)
            .map_err(|_| ProtocolError::Malformed(name))?;
        let packet = self
            .writer
            .serialize(&payload, false, false)
            .map_err(|_| ProtocolError::Malformed(name))?;
        self.output.extend(packet.bytes);
        Ok(())
    }

    /// Queues a command to the peer. `arguments` starts with the command
    /// object.
    pub fn send_command(
        &mut self,
        name: &str,
        transaction: f64,
        mut arguments: Vec<Amf0Value>,
        stream_id: u32,
    ) -> Result<(), ProtocolError> {
        let rest = arguments.split_off(arguments.len().min(1));
        let message = RtmpMessage::Amf0Command {
            command_name: name.to_owned(),
            transaction_id: transaction,
            command_object: arguments.pop().unwrap_or(Amf0Value::Null),
            additional_arguments: rest,
        };
        self.send(message, stream_id)
    }

    /// Announces the size of the chunks that we send from here on.
    pub fn send_chunk_size(&mut self) -> Result<(), ProtocolError> {
        let packet = self
            .writer
            .set_max_chunk_size(CHUNK_SIZE, RtmpTimestamp::new(0))
            .map_err(|_| ProtocolError::Malformed("outgoing"))?;
        self.output.extend(packet.bytes);
        Ok(())
    }

    /// The bytes to be sent, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn acknowledge(&mut self) -> Result<(), ProtocolError> {
        if self.window == 0 || self.received - self.acknowledged < self.window {
            return Ok(());
        }
        self.acknowledged = self.received;
        // The sequence number is 32 bits and wraps (section 5.4.3).
        self.send(
            RtmpMessage::Acknowledgement {
                sequence_number: self.received as u32,
            },
            0,
        )
    }

    fn handle(&mut self, message: Message) -> Result<(), ProtocolError> {
        match message.type_id {
            1 => self
                .reader
                .set_chunk_size(word(&message.data, "Set Chunk Size")?)?,
            2 => self.reader.abort(word(&message.data, "Abort")?),
            4 => self.user_control(message.data)?,
            5 => self.window = u64::from(word(&message.data, "Window Acknowledgement Size")?),
            8 => self.media(TagKind::Audio, message.timestamp, message.data),
            9 => self.media(TagKind::Video, message.timestamp, message.data),
            15 | 18 => self.data(&message),
            17 | 20 => {
                let command = command(&message)?;
                self.pending.push_back(Incoming::Command(command));
            }
            22 => self.aggregate(message),
            // Acknowledgement and Set Peer Bandwidth ask nothing of an end
            // that sends commands only; shared objects are none of ours.
            _ => {}
        }
        Ok(())
    }

    fn user_control(&mut self, mut data: Bytes) -> Result<(), ProtocolError> {
        if data.len() < 6 {
            return Ok(());
        }
        let (event, value) = (data.get_u16(), data.get_u32());
        match event {
            1 => self.pending.push_back(Incoming::StreamEof),
            6 => {
                let pong = RtmpMessage::UserControl {
                    event_type: UserControlEventType::PingResponse,
                    stream_id: None,
                    buffer_length: None,
                    timestamp: Some(RtmpTimestamp::new(value)),
                };
                self.send(pong, 0)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn media(&mut self, kind: TagKind, timestamp: u32, data: Bytes) {
        // An empty body is a keep-alive of some encoders.
        if !data.is_empty() {
            self.pending.push_back(Incoming::Tag(Tag {
                kind,
                timestamp,
                data,
            }));
        }
    }

    /// Data messages are advice: one that can't be read is passed over.
    fn data(&mut self, message: &Message) {
        let values = amf0::read_all(amf0_body(message)).unwrap_or_default();
        self.pending
            .extend(metadata::read(&values).map(Incoming::Metadata));
    }

    /// Several messages in one (section 7.1.6), laid out as FLV tags whose
    /// times count from the first's, which is the message's own.
    fn aggregate(&mut self, message: Message) {
        let mut rest = message.data;
        let mut first = None;
        while rest.len() >= 11 {
            let type_id = rest.get_u8();
            let size = rest.get_uint(3) as usize;
            let time = rest.get_uint(3) as u32 | u32::from(rest.get_u8()) << 24;
            rest.advance(3);
            if rest.len() < size {
                return;
            }
            let data = rest.split_to(size);
            let offset = time.wrapping_sub(*first.get_or_insert(time));
            let timestamp = message.timestamp.wrapping_add(offset);
            match type_id {
                8 => self.media(TagKind::Audio, timestamp, data),
                9 => self.media(TagKind::Video, timestamp, data),
                _ => {}
            }
            // The back pointer.
            rest.advance(rest.len().min(4));
        }
    }
}

/// The first four bytes of a protocol control message.
fn word(data: &[u8], name: &'static str) -> Result<u32, ProtocolError> {
    match data {
        [a, b, c, d, ..] => Ok(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => Err(ProtocolError::Malformed(name)),
    }
}

/// AMF3 messages carry AMF0 behind a zero byte, as all senders write them.
fn amf0_body(message: &Message) -> &[u8] {
    match (message.type_id, &*message.data) {
        (15 | 17, [0, rest @ ..]) => rest,
        (_, all) => all,
    }
}

fn command(message: &Message) -> Result<Command, ProtocolError> {
    let malformed = ProtocolError::Malformed("command");
    let values = amf0::read_all(amf0_body(message)).map_err(|amf0::Invalid| malformed.clone())?;
    let mut values = values.into_iter();
    let (Some(Amf0Value::Utf8String(name)), transaction) = (values.next(), values.next()) else {
        return Err(malformed);
    };
    let transaction = match transaction {
        Some(Amf0Value::Number(number)) => number,
        _ => 0.0,
    };
    Ok(Command {
        name,
        transaction,
        arguments: values.collect(),
        stream_id: message.stream_id,
    })
}
