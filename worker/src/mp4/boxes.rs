//! Raw boxes: walking the children of one, writing one around bytes.

use mp4_atom::{Buf, Decode, Encode, FourCC, Header};

use super::Mp4Error;

/// The boxes inside a raw container box, each with its header.
pub(super) struct Children<'a> {
    rest: &'a [u8],
}

/// Walks a container box given with its header.
pub(super) fn children(raw: &[u8]) -> Result<Children<'_>, Mp4Error> {
    let mut rest = raw;
    Header::decode(&mut rest)?;
    Ok(Children { rest })
}

impl<'a> Iterator for Children<'a> {
    type Item = Result<(FourCC, &'a [u8]), Mp4Error>;

    fn next(&mut self) -> Option<Self::Item> {
        // Fewer bytes than a header are padding.
        if self.rest.len() < 8 {
            return None;
        }
        let split = split_box(self.rest);
        self.rest = split.as_ref().map_or(&[], |(_, _, rest)| rest);
        Some(split.map(|(kind, raw, _)| (kind, raw)))
    }
}

fn split_box(bytes: &[u8]) -> Result<(FourCC, &[u8], &[u8]), Mp4Error> {
    let mut body = bytes;
    let header = Header::decode(&mut body)?;
    let size = header.size.unwrap_or(body.remaining());
    if size > body.len() {
        return Err(Mp4Error::Inconsistent("a box ends after its parent"));
    }
    let (raw, rest) = bytes.split_at(bytes.len() - body.len() + size);
    Ok((header.kind, raw, rest))
}

/// Writes a box around bytes.
pub(super) fn put_box(out: &mut Vec<u8>, kind: FourCC, body: &[u8]) -> Result<(), Mp4Error> {
    Header {
        kind,
        size: Some(body.len()),
    }
    .encode(out)?;
    out.extend_from_slice(body);
    Ok(())
}
