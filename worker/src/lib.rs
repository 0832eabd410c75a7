//! The worker: takes a live input, drives FFmpeg, publishes HLS and DASH.
//!
//! Data flows one way: `ingest` -> `ffmpeg` -> `mp4` -> `segmenter` ->
//! `publisher` -> object storage.

pub mod ffmpeg;
pub mod ingest;
pub mod mp4;
pub mod publisher;
pub mod segment;
pub mod segmenter;
