//! Reads server-sent events with bounded memory.

use bytes::Bytes;
use protocol::limits::SSE_LINE_MAX_BYTES;

/// A line longer than [`SSE_LINE_MAX_BYTES`] is skipped: an honest opencode sends one now and then, with an
/// image, say. One longer than this is not honest any more.
pub(crate) const SSE_SKIP_MAX_BYTES: usize = 64 * 1024 * 1024;

/// What came out of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SseItem {
    /// An event's data.
    Data(Vec<u8>),
    /// An event was left out: a line of it was too long.
    Skipped,
}

/// A line went on beyond [`SSE_SKIP_MAX_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EndlessLine;

/// Puts events together from pieces of bytes, however they are cut.
#[derive(Debug, Default)]
pub(crate) struct SseDecoder {
    line: Vec<u8>,
    /// How much of the current line was left out, if it is too long.
    skipping: Option<usize>,
    data: Option<Vec<u8>>,
    spoilt: bool,
}

impl SseDecoder {
    /// Takes the next bytes and adds the events that they complete to `items`.
    ///
    /// # Errors
    /// [`EndlessLine`]; the stream is of no use after that.
    pub(crate) fn push(
        &mut self,
        bytes: &Bytes,
        items: &mut Vec<SseItem>,
    ) -> Result<(), EndlessLine> {
        let mut rest = bytes.as_ref();
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.grow(&rest[..end])?;
            rest = &rest[end + 1..];
            self.end_line(items);
        }
        self.grow(rest)
    }

    fn grow(&mut self, piece: &[u8]) -> Result<(), EndlessLine> {
        if let Some(skipped) = &mut self.skipping {
            *skipped += piece.len();
            return if *skipped > SSE_SKIP_MAX_BYTES {
                Err(EndlessLine)
            } else {
                Ok(())
            };
        }
        if self.line.len() + piece.len() > SSE_LINE_MAX_BYTES {
            self.skipping = Some(self.line.len() + piece.len());
            self.line = Vec::new();
        } else {
            self.line.extend_from_slice(piece);
        }
        Ok(())
    }

    fn end_line(&mut self, items: &mut Vec<SseItem>) {
        if self.skipping.take().is_some() {
            self.spoilt = true;
            return;
        }
        let line = self.line.strip_suffix(b"\r").unwrap_or(&self.line);
        if line.is_empty() {
            let data = self.data.take();
            if std::mem::take(&mut self.spoilt) {
                items.push(SseItem::Skipped);
            } else if let Some(data) = data {
                items.push(SseItem::Data(data));
            }
        } else if let Some(value) = line.strip_prefix(b"data:") {
            let value = value.strip_prefix(b" ").unwrap_or(value);
            match &mut self.data {
                None => self.data = Some(value.to_vec()),
                Some(data) if data.len() + value.len() < SSE_LINE_MAX_BYTES => {
                    data.push(b'\n');
                    data.extend_from_slice(value);
                }
                Some(_) => self.spoilt = true,
            }
        }
        // Comments and other fields mean nothing here.
        self.line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<Vec<SseItem>, EndlessLine> {
        let mut decoder = SseDecoder::default();
        let mut items = Vec::new();
        for piece in pieces {
            decoder.push(&Bytes::copy_from_slice(piece), &mut items)?;
        }
        Ok(items)
    }

    #[test]
    fn events_are_the_same_however_the_bytes_are_cut() {
        let whole =
            "data: {\"a\":\"né€😀\"}\n\n: ping\n\ndata: x\r\n\r\nid: 7\ndata:y\ndata: z\n\n"
                .as_bytes();
        let expected = decode(&[whole]).unwrap();
        assert_eq!(expected.len(), 3);
        assert_eq!(expected[2], SseItem::Data(b"y\nz".to_vec()));
        for cut in 0..whole.len() {
            assert_eq!(
                decode(&[&whole[..cut], &whole[cut..]]).unwrap(),
                expected,
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn a_line_over_the_limit_is_skipped_and_the_next_event_is_not() {
        let long = vec![b'x'; SSE_LINE_MAX_BYTES + 1];
        let items = decode(&[b"data: ", &long, b"\n\ndata: next\n\n"]).unwrap();
        assert_eq!(items, [SseItem::Skipped, SseItem::Data(b"next".to_vec())]);
    }

    #[test]
    fn a_line_without_an_end_is_an_error_and_takes_no_memory() {
        let mut decoder = SseDecoder::default();
        let piece = Bytes::from(vec![b'x'; 1024 * 1024]);
        let mut items = Vec::new();
        let result = (0..100).try_for_each(|_| {
            assert!(decoder.line.capacity() <= 2 * SSE_LINE_MAX_BYTES);
            decoder.push(&piece, &mut items)
        });
        assert_eq!((result, items.len()), (Err(EndlessLine), 0));
    }
}
