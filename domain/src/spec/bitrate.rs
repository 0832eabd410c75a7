//! bitrate
