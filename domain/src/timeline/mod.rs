//! What a channel has published.
