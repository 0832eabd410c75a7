//! The client's side of playing (RTMP 1.0, section 7.2), without I/O.

use std::collections::HashMap;

use rml_rtmp::messages::{RtmpMessage, UserControlEventType};
use rml_rtmp::rml_amf0::Amf0Value;
use thiserror::Error;

use super::ProtocolError;
use super::link::{Command, Incoming, Link};
use crate::ingest::{Metadata, Tag};

/// Our calls, by the number that their answers bear.
const CONNECT: f64 = 1.0;
const CREATE_STREAM: f64 = 2.0;
const PLAY: f64 = 3.0;
/// What we tell the server we buffer, milliseconds: some send that much of
/// the past at once.
const BUFFER_MS: u32 = 3000;

/// The origin doesn't let us play.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PlayError {
    /// It broke the protocol.
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    /// It said no, by this code of its own.
    #[error("the origin refused: {code}")]
    Refused {
        /// As `NetStream.Play.StreamNotFound`: letters, digits and dots.
        code: String,
    },
}

/// What the origin does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// It plays.
    Started,
    /// What the stream is like.
    Metadata(Metadata),
    /// Audio or video.
    Tag(Tag),
    /// The stream has ended.
    Finished,
}

/// What to play.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    /// The application.
    pub app: String,
    /// The stream's name, query included. May be a secret.
    pub stream: String,
    /// The URL as far as the application.
    pub tc_url: String,
}

/// One connection that plays.
pub struct PlaySession {
    link: Link,
    target: Target,
    /// Whether `connect` has been sent.
    connecting: bool,
    playing: bool,
}

impl PlaySession {
    /// A connection whose first bytes are ready to be sent.
    pub fn new(target: Target) -> Result<Self, PlayError> {
        Ok(Self {
            link: Link::client()?,
            target,
            connecting: false,
            playing: false,
        })
    }

    /// Takes in bytes as they came.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), PlayError> {
        self.link.receive(bytes)?;
        if self.link.is_established() && !self.connecting {
            self.connecting = true;
            self.connect()?;
        }
        Ok(())
    }

    /// The bytes to be sent, in order.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.link.take_output()
    }

    /// What the origin does next, if all of it is there.
    pub fn next_step(&mut self) -> Result<Option<Step>, PlayError> {
        while let Some(incoming) = self.link.next_incoming()? {
            let step = match incoming {
                Incoming::Command(command) => self.command(&command)?,
                Incoming::Metadata(metadata) => Some(Step::Metadata(metadata)),
                Incoming::Tag(tag) => Some(Step::Tag(tag)),
                Incoming::StreamEof => self.playing.then_some(Step::Finished),
            };
            if step.is_some() {
                return Ok(step);
            }
        }
        Ok(None)
    }

    fn connect(&mut self) -> Result<(), ProtocolError> {
        let text = |value: &str| Amf0Value::Utf8String(value.to_owned());
        let properties = HashMap::from([
            ("app".to_owned(), text(&self.target.app)),
            ("tcUrl".to_owned(), text(&self.target.tc_url)),
            // What servers expect of a client that plays.
            ("flashVer".to_owned(), text("LNX 9,0,124,2")),
            ("fpad".to_owned(), Amf0Value::Boolean(false)),
            ("capabilities".to_owned(), Amf0Value::Number(15.0)),
            // All codecs that there were.
            ("audioCodecs".to_owned(), Amf0Value::Number(4071.0)),
            ("videoCodecs".to_owned(), Amf0Value::Number(252.0)),
            ("videoFunction".to_owned(), Amf0Value::Number(1.0)),
            ("objectEncoding".to_owned(), Amf0Value::Number(0.0)),
        ]);
        self.link.send_chunk_size()?;
        self.link
            .send_command("connect", CONNECT, vec![Amf0Value::Object(properties)], 0)
    }

    fn command(&mut self, command: &Command) -> Result<Option<Step>, PlayError> {
        match command.name.as_str() {
            "_result" if command.transaction == CONNECT => {
                self.link
                    .send(RtmpMessage::WindowAcknowledgement { size: 2_500_000 }, 0)?;
                self.link
                    .send_command("createStream", CREATE_STREAM, vec![Amf0Value::Null], 0)?;
                Ok(None)
            }
            "_result" if command.transaction == CREATE_STREAM => {
                let Some(Amf0Value::Number(id)) = command.arguments.get(1) else {
                    return Err(ProtocolError::Malformed("createStream result").into());
                };
                self.play(*id as u32)?;
                Ok(None)
            }
            "_error" if command.transaction == CONNECT || command.transaction == CREATE_STREAM => {
                Err(PlayError::Refused {
                    code: status(command).0,
                })
            }
            "onStatus" => self.status(command),
            "close" => Err(PlayError::Refused {
                code: "close".to_owned(),
            }),
            _ => Ok(None),
        }
    }

    fn play(&mut self, stream_id: u32) -> Result<(), ProtocolError> {
        self.link.expect_media();
        let buffer = RtmpMessage::UserControl {
            event_type: UserControlEventType::SetBufferLength,
            stream_id: Some(stream_id),
            buffer_length: Some(BUFFER_MS),
            timestamp: None,
        };
        self.link.send(buffer, 0)?;
        let name = Amf0Value::Utf8String(self.target.stream.clone());
        // Start -2000: live if there is, else recorded.
        let arguments = vec![Amf0Value::Null, name, Amf0Value::Number(-2000.0)];
        self.link.send_command("play", PLAY, arguments, stream_id)
    }

    fn status(&mut self, command: &Command) -> Result<Option<Step>, PlayError> {
        let (code, level) = status(command);
        match code.as_str() {
            "NetStream.Play.Start" => {
                self.playing = true;
                Ok(Some(Step::Started))
            }
            "NetStream.Play.Stop"
            | "NetStream.Play.Complete"
            | "NetStream.Play.UnpublishNotify" => Ok(Some(Step::Finished)),
            _ if level == "error" => Err(PlayError::Refused { code }),
            _ => Ok(None),
        }
    }
}

/// Code and level of a status, as far as they may be shown to people.
fn status(command: &Command) -> (String, String) {
    let Some(Amf0Value::Object(properties)) = command.arguments.get(1) else {
        return ("unknown".to_owned(), String::new());
    };
    let plain = |name: &str| match properties.get(name) {
        Some(Amf0Value::Utf8String(text)) => text
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '.')
            .take(64)
            .collect(),
        _ => String::new(),
    };
    (plain("code"), plain("level"))
}
