//! Ogg/Opus files (RFC 7845) into their packets.

use super::{opus, sender::Frame};
use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Seek};
use tokio_util::bytes::Bytes;

/// Reads the packets of a file with one Opus stream, in order, without its two headers.
///
/// The encoder's delay at the beginning (pre-skip, 6.5 ms) stays: RTP has no way to say it.
///
/// # Errors
/// When it is no Ogg file, has more than one stream, or something else than Opus in it.
pub fn read(file: impl Read + Seek) -> Result<Vec<Frame>> {
    let mut reader = ogg::PacketReader::new(file);
    let head = reader
        .read_packet()
        .context("not an Ogg file")?
        .context("an empty Ogg file")?;
    ensure!(head.data.starts_with(b"OpusHead"), "the stream is no Opus");
    let tags = reader
        .read_packet()?
        .context("an Ogg file without a packet")?;
    ensure!(
        tags.data.starts_with(b"OpusTags"),
        "an Opus stream without its second header"
    );
    let mut frames = Vec::new();
    while let Some(packet) = reader.read_packet().context("the Ogg file is damaged")? {
        ensure!(
            packet.stream_serial() == head.stream_serial(),
            "more than one stream in the file"
        );
        match opus::ticks(&packet.data) {
            Some(ticks) => frames.push(Frame {
                payload: Bytes::from(packet.data),
                ticks,
            }),
            None => bail!("packet {} is no Opus packet", frames.len()),
        }
    }
    Ok(frames)
}
