//! Reading the RTMP chunk stream (Adobe RTMP 1.0, section 5.3) from strangers:
//! interleaved chunk streams, extended timestamps, bounded in every way.

use std::collections::HashMap;

use bytes::{Buf, Bytes, BytesMut};

use super::ProtocolError;

/// What both ends assume until told otherwise (section 5.4.1), bytes.
const DEFAULT_CHUNK_SIZE: usize = 128;
/// Publishers use half a dozen.
const MAX_CHUNK_STREAMS: usize = 64;
/// A timestamp field of this value says that an extended one follows.
const EXTENDED: u32 = 0x00ff_ffff;

/// A whole message (section 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Milliseconds by the sender's clock, modulo 2^32.
    pub timestamp: u32,
    /// What it is: 8 audio, 9 video, 20 a command.
    pub type_id: u8,
    /// The message stream it belongs to; 0 for control.
    pub stream_id: u32,
    /// Its body.
    pub data: Bytes,
}

/// Puts messages together from chunks. Holds no more than twice the message
/// limit, whatever the peer announces.
pub struct ChunkReader {
    buffer: BytesMut,
    chunk_size: usize,
    limit: usize,
    streams: HashMap<u32, ChunkStream>,
    /// Announced bytes of the messages in progress.
    in_progress: usize,
    /// The chunk stream whose chunk is being read, and its bytes to come.
    current: Option<(u32, usize)>,
}

#[derive(Default)]
struct ChunkStream {
    timestamp: u32,
    /// What a type 3 header adds: the last timestamp field (section 5.3.1.2.4).
    delta: u32,
    extended: bool,
    length: usize,
    type_id: u8,
    stream_id: u32,
    /// The message so far; `None` between messages.
    partial: Option<BytesMut>,
}

/// A chunk header as far as its bytes tell.
struct Header {
    format: u8,
    stream: u32,
    /// Length of the basic and the message header, bytes.
    size: usize,
}

impl ChunkReader {
    /// A reader of messages up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            chunk_size: DEFAULT_CHUNK_SIZE,
            limit,
            streams: HashMap::new(),
            in_progress: 0,
            current: None,
        }
    }

    /// Allows messages up to `limit` bytes from now on.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The peer's Set Chunk Size (section 5.4.1).
    pub fn set_chunk_size(&mut self, size: u32) -> Result<(), ProtocolError> {
        if size == 0 || size > 0x7fff_ffff {
            return Err(ProtocolError::Malformed("Set Chunk Size"));
        }
        self.chunk_size = size as usize;
        Ok(())
    }

    /// The peer's Abort (section 5.4.2): the rest of a message won't come.
    pub fn abort(&mut self, stream: u32) {
        if let Some(chunks) = self.streams.get_mut(&stream)
            && chunks.partial.take().is_some()
        {
            self.in_progress -= chunks.length;
        }
    }

    /// Takes in bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, if it is there.
    pub fn next_message(&mut self) -> Result<Option<Message>, ProtocolError> {
        loop {
            let Some((stream, remaining)) = self.current else {
                if !self.read_header()? {
                    return Ok(None);
                }
                continue;
            };
            let taken = remaining.min(self.buffer.len());
            if taken == 0 && remaining > 0 {
                return Ok(None);
            }
            let Some(chunks) = self.streams.get_mut(&stream) else {
                return Err(ProtocolError::NoPreviousChunk);
            };
            let partial = chunks.partial.get_or_insert_default();
            partial.extend_from_slice(&self.buffer[..taken]);
            self.buffer.advance(taken);
            self.current = (taken < remaining).then_some((stream, remaining - taken));
            if self.current.is_none() && partial.len() == chunks.length {
                self.in_progress -= chunks.length;
                let data = chunks.partial.take().unwrap_or_default().freeze();
                return Ok(Some(Message {
                    timestamp: chunks.timestamp,
                    type_id: chunks.type_id,
                    stream_id: chunks.stream_id,
                    data,
                }));
            }
        }
    }

    /// Reads a chunk header; `false` where more bytes are needed.
    fn read_header(&mut self) -> Result<bool, ProtocolError> {
        let Some(header) = peek_header(&self.buffer) else {
            return Ok(false);
        };
        let known = self.streams.contains_key(&header.stream);
        if !known && header.format != 0 {
            return Err(ProtocolError::NoPreviousChunk);
        }
        if !known && self.streams.len() == MAX_CHUNK_STREAMS {
            return Err(ProtocolError::TooManyChunkStreams);
        }
        if self.buffer.len() < header.size {
            return Ok(false);
        }
        let chunks = self.streams.entry(header.stream).or_default();
        let fields = &self.buffer[header.size - message_header_size(header.format)..header.size];
        let field = fields.get(..3).map(be24);
        let extended = field.map_or(chunks.extended, |field| field == EXTENDED);
        let extension = match extended {
            false => None,
            true => match self.buffer.get(header.size..header.size + 4) {
                Some(bytes) => Some(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])),
                None => return Ok(false),
            },
        };

        let mut size = header.size;
        if header.format == 3 && chunks.partial.is_some() {
            // Continued. Some senders repeat the extended timestamp here, as
            // the specification has it, and some don't.
            if extension.is_some_and(|value| value == chunks.delta || value == chunks.timestamp) {
                size += 4;
            }
        } else {
            if extension.is_some() {
                size += 4;
            }
            if chunks.partial.take().is_some() {
                self.in_progress -= chunks.length;
            }
            chunks.begin(header.format, fields, extension, extended);
            if chunks.length > self.limit {
                return Err(ProtocolError::TooLarge {
                    size: chunks.length,
                    limit: self.limit,
                });
            }
            self.in_progress += chunks.length;
            if self.in_progress > 2 * self.limit {
                return Err(ProtocolError::TooLarge {
                    size: self.in_progress,
                    limit: self.limit,
                });
            }
            chunks.partial = Some(BytesMut::new());
        }
        let missing = chunks.length - chunks.partial.as_ref().map_or(0, BytesMut::len);
        self.current = Some((header.stream, missing.min(self.chunk_size)));
        self.buffer.advance(size);
        Ok(true)
    }
}

impl ChunkStream {
    /// A new message on this chunk stream, by the header fields it came with.
    fn begin(&mut self, format: u8, fields: &[u8], extension: Option<u32>, extended: bool) {
        if let Some(time) = fields.get(..3).map(be24) {
            self.delta = extension.unwrap_or(time);
            self.extended = extended;
        }
        self.timestamp = match format {
            0 => self.delta,
            _ => self.timestamp.wrapping_add(self.delta),
        };
        if let Some(length) = fields.get(3..6).map(be24) {
            self.length = length as usize;
            self.type_id = fields[6];
        }
        if let Some(id) = fields.get(7..11) {
            self.stream_id = u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
        }
    }
}

/// Length of the message header by its format (section 5.3.1.2), bytes.
fn message_header_size(format: u8) -> usize {
    match format {
        0 => 11,
        1 => 7,
        2 => 3,
        _ => 0,
    }
}

/// The basic header (section 5.3.1.1).
fn peek_header(bytes: &[u8]) -> Option<Header> {
    let first = *bytes.first()?;
    let (stream, basic) = match first & 0x3f {
        0 => (u32::from(*bytes.get(1)?) + 64, 2),
        1 => (
            u32::from(*bytes.get(1)?) + u32::from(*bytes.get(2)?) * 256 + 64,
            3,
        ),
        id => (u32::from(id), 1),
    };
    let format = first >> 6;
    Some(Header {
        format,
        stream,
        size: basic + message_header_size(format),
    })
}

fn be24(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .fold(0, |value, byte| value << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rml_rtmp::chunk_io::ChunkSerializer;
    use rml_rtmp::messages::MessagePayload;
    use rml_rtmp::time::RtmpTimestamp;

    use super::*;

    const LIMIT: usize = 100_000;

    fn read_all(reader: &mut ChunkReader) -> Vec<Message> {
        std::iter::from_fn(|| reader.next_message().unwrap()).collect()
    }

    fn message(timestamp: u32, type_id: u8, data: &[u8]) -> Message {
        Message {
            timestamp,
            type_id,
            stream_id: 1,
            data: Bytes::copy_from_slice(data),
        }
    }

    /// A chunk of format 0.
    fn chunk0(stream: u8, timestamp: u32, length: u32, type_id: u8, payload: &[u8]) -> Vec<u8> {
        let mut bytes = vec![stream];
        bytes.extend(&timestamp.min(EXTENDED).to_be_bytes()[1..]);
        bytes.extend(&length.to_be_bytes()[1..]);
        bytes.push(type_id);
        bytes.extend(1_u32.to_le_bytes());
        if timestamp >= EXTENDED {
            bytes.extend(timestamp.to_be_bytes());
        }
        bytes.extend(payload);
        bytes
    }

    #[test]
    fn interleaved_messages_come_out_whole() {
        let (video, audio) = ([1_u8; 200], [2_u8; 150]);
        let mut bytes = chunk0(6, 40, 200, 9, &video[..128]);
        bytes.extend(chunk0(4, 41, 150, 8, &audio[..128]));
        bytes.push(0xc0 | 6);
        bytes.extend(&video[128..]);
        bytes.push(0xc0 | 4);
        bytes.extend(&audio[128..]);
        let mut reader = ChunkReader::new(LIMIT);
        reader.push(&bytes);
        assert_eq!(
            read_all(&mut reader),
            [message(40, 9, &video), message(41, 8, &audio)]
        );
    }

    #[test]
    fn extended_timestamps_with_and_without_their_repetition() {
        let (body, time) = ([7_u8; 200], 0x0100_0000);
        for repeated in [true, false] {
            let mut bytes = chunk0(6, time, 200, 9, &body[..128]);
            bytes.push(0xc0 | 6);
            if repeated {
                bytes.extend(time.to_be_bytes());
            }
            bytes.extend(&body[128..]);
            let mut reader = ChunkReader::new(LIMIT);
            reader.push(&bytes);
            assert_eq!(
                read_all(&mut reader),
                [message(time, 9, &body)],
                "repeated: {repeated}"
            );
        }
    }

    #[test]
    fn deltas_add_up_and_wrap() {
        let mut bytes = chunk0(6, u32::MAX - 5, 1, 9, &[1]);
        bytes.extend([0x80 | 6, 0, 0, 10, 2]);
        bytes.extend([0xc0 | 6, 3]);
        let mut reader = ChunkReader::new(LIMIT);
        reader.push(&bytes);
        let times: Vec<_> = read_all(&mut reader).iter().map(|m| m.timestamp).collect();
        assert_eq!(times, [u32::MAX - 5, 4, 14]);
    }

    #[test]
    fn an_announced_length_beyond_the_limit_is_refused_before_it_comes() {
        let mut reader = ChunkReader::new(1000);
        reader.push(&chunk0(6, 0, 1001, 9, &[]));
        let refused = Err(ProtocolError::TooLarge {
            size: 1001,
            limit: 1000,
        });
        assert_eq!(reader.next_message(), refused);
        // Many messages in progress are bounded together.
        let mut reader = ChunkReader::new(1000);
        for stream in 3..6 {
            reader.push(&chunk0(stream, 0, 1000, 9, &[0; 128]));
        }
        assert!(matches!(
            reader.next_message(),
            Err(ProtocolError::TooLarge { .. })
        ));
    }

    #[test]
    fn an_aborted_message_is_forgotten() {
        let mut reader = ChunkReader::new(LIMIT);
        reader.push(&chunk0(6, 0, 200, 9, &[0; 128]));
        assert_eq!(reader.next_message(), Ok(None));
        reader.abort(6);
        reader.push(&chunk0(6, 5, 2, 9, &[1, 2]));
        assert_eq!(read_all(&mut reader), [message(5, 9, &[1, 2])]);
        assert_eq!(reader.in_progress, 0);
    }

    proptest! {
        #[test]
        fn what_the_library_writes_reads_back_however_it_is_cut(
            bodies in proptest::collection::vec(
                (proptest::collection::vec(any::<u8>(), 1..600), any::<u32>(), prop_oneof![Just(8_u8), Just(9)]),
                1..12,
            ),
            piece in 1_usize..300,
            chunk_size in 1_u32..700,
        ) {
            let mut writer = ChunkSerializer::new();
            // The announcement is for the session above; the reader is told.
            writer.set_max_chunk_size(chunk_size, RtmpTimestamp::new(0)).unwrap();
            let mut bytes = Vec::new();
            let mut sent = Vec::new();
            for (body, time, type_id) in bodies {
                let payload = MessagePayload {
                    timestamp: RtmpTimestamp::new(time),
                    type_id,
                    message_stream_id: 1,
                    data: body.clone().into(),
                };
                bytes.extend(writer.serialize(&payload, false, false).unwrap().bytes);
                sent.push(message(time, type_id, &body));
            }
            let mut reader = ChunkReader::new(LIMIT);
            reader.set_chunk_size(chunk_size).unwrap();
            let mut read = Vec::new();
            for part in bytes.chunks(piece) {
                reader.push(part);
                read.extend(read_all(&mut reader));
            }
            prop_assert_eq!(read, sent);
        }

        #[test]
        fn any_bytes_are_read_or_refused_within_bounds(
            bytes in proptest::collection::vec(any::<u8>(), 0..4000),
        ) {
            let mut reader = ChunkReader::new(1000);
            reader.push(&bytes);
            while let Ok(Some(message)) = reader.next_message() {
                prop_assert!(message.data.len() <= 1000);
            }
            prop_assert!(reader.in_progress <= 3000);
        }
    }
}
