//! The server's side of publishing (RTMP 1.0, section 7.2), without I/O.

use std::collections::HashMap;
use std::fmt;

use rml_rtmp::messages::{PeerBandwidthLimitType, RtmpMessage, UserControlEventType};
use rml_rtmp::rml_amf0::Amf0Value;

use super::ProtocolError;
use super::link::{Command, Incoming, Link};
use crate::ingest::{Metadata, Tag};

/// How much we take in before we acknowledge, and how much the peer should
/// send before it does, bytes: the value that all servers use.
const WINDOW: u32 = 2_500_000;
/// The one message stream that a publisher gets.
const STREAM_ID: u32 = 1;

/// What the publisher does.
#[derive(Clone, PartialEq)]
pub enum Step {
    /// It wants to publish: answer by [`PublishSession::accept`] or
    /// [`PublishSession::refuse`]. Until accepted, no media comes out.
    PublishRequested {
        /// The stream name, which carries the key.
        name: String,
    },
    /// It wants to play.
    PlayRequested,
    /// What its stream is like.
    Metadata(Metadata),
    /// Audio or video.
    Tag(Tag),
    /// It has finished.
    Finished,
}

impl fmt::Debug for Step {
    /// Without the stream name, which carries the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PublishRequested { .. } => f.write_str("PublishRequested"),
            Self::PlayRequested => f.write_str("PlayRequested"),
            Self::Metadata(metadata) => f.debug_tuple("Metadata").field(metadata).finish(),
            Self::Tag(tag) => f.debug_tuple("Tag").field(tag).finish(),
            Self::Finished => f.write_str("Finished"),
        }
    }
}

/// How far a publisher has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Negotiating,
    /// Asked to publish on this message stream.
    Requested(u32),
    Publishing(u32),
    Over,
}

/// One publisher's connection.
pub struct PublishSession {
    link: Link,
    stage: Stage,
}

impl PublishSession {
    /// A connection that has just been accepted.
    pub fn new() -> Self {
        Self {
            link: Link::server(),
            stage: Stage::Negotiating,
        }
    }

    /// Takes in bytes as they came.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.link.receive(bytes)
    }

    /// The bytes to be sent, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.link.take_output()
    }

    /// What the publisher does next, if all of it is there.
    pub fn next_step(&mut self) -> Result<Option<Step>, ProtocolError> {
        while let Some(incoming) = self.link.next_incoming()? {
            let publishing = matches!(self.stage, Stage::Publishing(_));
            let step = match incoming {
                Incoming::Command(command) => self.command(command)?,
                Incoming::Metadata(metadata) if publishing => Some(Step::Metadata(metadata)),
                Incoming::Tag(tag) if publishing => Some(Step::Tag(tag)),
                Incoming::Metadata(_) | Incoming::Tag(_) | Incoming::StreamEof => None,
            };
            if step.is_some() {
                return Ok(step);
            }
        }
        Ok(None)
    }

    /// Lets the publisher begin.
    pub fn accept(&mut self) -> Result<(), ProtocolError> {
        let Stage::Requested(stream) = self.stage else {
            return Ok(());
        };
        self.stage = Stage::Publishing(stream);
        self.link.expect_media();
        let begin = RtmpMessage::UserControl {
            event_type: UserControlEventType::StreamBegin,
            stream_id: Some(stream),
            buffer_length: None,
            timestamp: None,
        };
        self.link.send(begin, 0)?;
        self.status("status", "NetStream.Publish.Start", "Publishing", stream)
    }

    /// Turns the publisher away with a status that encoders show.
    pub fn refuse(&mut self, code: &str, description: &str) -> Result<(), ProtocolError> {
        let stream = match self.stage {
            Stage::Requested(stream) | Stage::Publishing(stream) => stream,
            Stage::Negotiating | Stage::Over => STREAM_ID,
        };
        self.stage = Stage::Over;
        self.status("error", code, description, stream)
    }

    fn status(
        &mut self,
        level: &str,
        code: &str,
        description: &str,
        stream: u32,
    ) -> Result<(), ProtocolError> {
        let status = object(&[
            ("level", level),
            ("code", code),
            ("description", description),
        ]);
        self.link
            .send_command("onStatus", 0.0, vec![Amf0Value::Null, status], stream)
    }

    fn command(&mut self, command: Command) -> Result<Option<Step>, ProtocolError> {
        match command.name.as_str() {
            "connect" => self.connect(command.transaction)?,
            "createStream" => {
                let id = Amf0Value::Number(f64::from(STREAM_ID));
                self.result(command.transaction, vec![Amf0Value::Null, id])?;
            }
            "publish" if self.stage == Stage::Negotiating => {
                // Null, the name, and "live", which nobody means otherwise.
                let Some(Amf0Value::Utf8String(name)) = command.arguments.into_iter().nth(1) else {
                    return Err(ProtocolError::Malformed("publish"));
                };
                self.stage = Stage::Requested(command.stream_id);
                return Ok(Some(Step::PublishRequested { name }));
            }
            "play" | "play2" => return Ok(Some(Step::PlayRequested)),
            "FCUnpublish" | "deleteStream" | "closeStream" => {
                if let Stage::Publishing(stream) = self.stage {
                    self.stage = Stage::Over;
                    self.status("status", "NetStream.Unpublish.Success", "Finished", stream)?;
                    return Ok(Some(Step::Finished));
                }
            }
            // releaseStream, FCPublish, _checkbw and the like: a call that
            // has a number waits for an answer.
            _ if command.transaction != 0.0 => {
                self.result(command.transaction, vec![Amf0Value::Null])?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn connect(&mut self, transaction: f64) -> Result<(), ProtocolError> {
        self.link
            .send(RtmpMessage::WindowAcknowledgement { size: WINDOW }, 0)?;
        let bandwidth = RtmpMessage::SetPeerBandwidth {
            size: WINDOW,
            limit_type: PeerBandwidthLimitType::Dynamic,
        };
        self.link.send(bandwidth, 0)?;
        self.link.send_chunk_size()?;
        // Which server we say to be matters to old encoders.
        let mut properties = object(&[("fmsVer", "FMS/3,0,1,123")]);
        if let Amf0Value::Object(properties) = &mut properties {
            properties.insert("capabilities".to_owned(), Amf0Value::Number(31.0));
        }
        let mut information = object(&[
            ("level", "status"),
            ("code", "NetConnection.Connect.Success"),
            ("description", "Connected"),
        ]);
        if let Amf0Value::Object(information) = &mut information {
            information.insert("objectEncoding".to_owned(), Amf0Value::Number(0.0));
        }
        self.result(transaction, vec![properties, information])
    }

    fn result(&mut self, transaction: f64, arguments: Vec<Amf0Value>) -> Result<(), ProtocolError> {
        self.link.send_command("_result", transaction, arguments, 0)
    }
}

fn object(properties: &[(&str, &str)]) -> Amf0Value {
    let text = |value: &str| Amf0Value::Utf8String(value.to_owned());
    let properties: HashMap<_, _> = properties
        .iter()
        .map(|(name, value)| ((*name).to_owned(), text(value)))
        .collect();
    Amf0Value::Object(properties)
}
