//! Loads a graph of `pipelines/` and lets bytes in.
//!
//! Frames are pushed into a graph by a pad of our own ([`Inlet`]) instead of an `appsrc`: the
//! elements then run in the thread that pushes, so a live stream costs no thread and no wake-ups of
//! its own, a frame's output is there when the push returns, and an error is the push's result.

use anyhow::{Context, Result, anyhow, bail};
use gstreamer::{self as gst, prelude::*};
use gstreamer_app::AppSink;
use std::{fs::File, io};

/// How long starting or ending a graph may take before it is given up: file systems stall,
/// GStreamer should not.
pub(crate) const STEP_MAX: gst::ClockTime = gst::ClockTime::from_seconds(5);

/// Descriptors that a graph takes, and some. Without one for its bus GStreamer calls it an error of
/// the program, which may end the process, and goes on broken.
const DESCRIPTORS: usize = 16;

/// A running graph; stopped and freed on drop.
pub(crate) struct Graph {
    pipeline: gst::Pipeline,
}

impl Graph {
    /// Builds the graph from a file of `pipelines/` (lines that begin with `#` are comments), not
    /// yet started.
    ///
    /// # Errors
    /// When an element is missing on this machine, or descriptors are.
    pub fn load(text: &str) -> Result<Self> {
        gst::init().context("GStreamer does not start")?;
        let spare: io::Result<Vec<File>> =
            (0..DESCRIPTORS).map(|_| File::open("/dev/null")).collect();
        drop(spare.context("no descriptors are left for a graph")?);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
            .collect();
        let pipeline =
            gst::parse::launch_full(&lines.join(" "), None, gst::ParseFlags::FATAL_ERRORS)
                .context("a graph does not load: is a GStreamer plugin missing?")?
                .downcast::<gst::Pipeline>()
                .map_err(|_| anyhow!("a graph of one element"))?;
        // Nobody pops the rest, and a bus keeps everything.
        pipeline
            .bus()
            .context("a pipeline without a bus")?
            .set_sync_handler(|_, message| match message.type_() {
                gst::MessageType::Error | gst::MessageType::Eos => gst::BusSyncReply::Pass,
                _ => gst::BusSyncReply::Drop,
            });
        Ok(Self { pipeline })
    }

    pub fn element(&self, name: &str) -> Result<gst::Element> {
        self.pipeline
            .by_name(name)
            .with_context(|| format!("the graph has no element {name}"))
    }

    pub fn sink(&self, name: &str) -> Result<AppSink> {
        self.element(name)?
            .downcast()
            .map_err(|_| anyhow!("{name} is no appsink"))
    }

    pub fn start(&self) -> Result<()> {
        match self.pipeline.set_state(gst::State::Playing) {
            Ok(_) => Ok(()),
            Err(_) => Err(self.fault_or(|| anyhow!("the graph does not start"))),
        }
    }

    /// The error on the bus, if there is one, and whose it is.
    pub fn fault(&self) -> Option<(String, anyhow::Error)> {
        let message = self
            .pipeline
            .bus()?
            .pop_filtered(&[gst::MessageType::Error])?;
        Some(said(&message))
    }

    fn fault_or(&self, otherwise: impl FnOnce() -> anyhow::Error) -> anyhow::Error {
        self.fault().map_or_else(otherwise, |(_, error)| error)
    }

    /// Turns a refused push into the error that caused it.
    pub fn explain(&self, flow: gst::FlowError) -> anyhow::Error {
        self.fault_or(|| anyhow!("the graph refused a buffer: {flow}"))
    }

    /// Waits until the end of stream, pushed before, reached every sink.
    pub fn end(&self) -> Result<()> {
        let bus = self.pipeline.bus().context("a pipeline without a bus")?;
        match bus.timed_pop_filtered(STEP_MAX, &[gst::MessageType::Error, gst::MessageType::Eos]) {
            Some(message) if message.type_() == gst::MessageType::Eos => Ok(()),
            Some(message) => Err(said(&message).1),
            None => bail!("the graph did not end within {STEP_MAX}"),
        }
    }

    /// The factory names of all elements, sorted.
    #[cfg(test)]
    pub fn factories(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .pipeline
            .iterate_recurse()
            .into_iter()
            .flatten()
            .filter_map(|element| Some(element.factory()?.name().to_string()))
            .collect();
        names.sort();
        names
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // To NULL cannot fail in a way that anybody could mend.
        let _ = self.pipeline.set_state(gst::State::Null);
    }
}

fn said(message: &gst::Message) -> (String, anyhow::Error) {
    let element = message
        .src()
        .map_or_else(String::new, |src| src.name().to_string());
    let error = match message.view() {
        // As the system would say it, so that whoever branches on it need not know GStreamer.
        gst::MessageView::Error(error)
            if error.error().matches(gst::ResourceError::NoSpaceLeft) =>
        {
            std::io::Error::new(
                std::io::ErrorKind::StorageFull,
                format!("{element}: {}", error.error()),
            )
            .into()
        }
        gst::MessageView::Error(error) => anyhow!("{element}: {}", error.error()),
        _ => anyhow!("{element}: an unexpected message"),
    };
    (element, error)
}

/// The pad through which a graph is fed. Events and buffers run through the elements in the
/// caller's thread.
pub(crate) struct Inlet {
    pad: gst::Pad,
    to: gst::Pad,
}

impl Inlet {
    /// Links to the pad of a started graph and opens the stream.
    pub fn open(to: &gst::Pad, caps: &gst::Caps) -> Result<Self> {
        let pad = gst::Pad::builder(gst::PadDirection::Src)
            .name("inlet")
            .build();
        pad.set_active(true)
            .context("our own pad does not activate")?;
        pad.link(to).context("the graph refuses our pad")?;
        let inlet = Self {
            pad,
            to: to.clone(),
        };
        inlet.event(
            gst::event::StreamStart::builder("hansard")
                .group_id(gst::GroupId::next())
                .build(),
        )?;
        inlet.event(gst::event::Caps::new(caps))?;
        inlet.segment()?;
        Ok(inlet)
    }

    fn segment(&self) -> Result<()> {
        self.event(gst::event::Segment::new(&gst::FormattedSegment::<
            gst::ClockTime,
        >::new()))
    }

    pub fn event(&self, event: gst::Event) -> Result<()> {
        let kind = event.type_();
        if self.pad.push_event(event) {
            Ok(())
        } else {
            bail!("the graph refused a {kind} event")
        }
    }

    pub fn push(&self, buffer: gst::Buffer) -> Result<(), gst::FlowError> {
        self.pad.push(buffer).map(|_| ())
    }

    /// Says that nothing came for this time.
    pub fn end(&self) -> Result<()> {
        self.event(gst::event::Eos::new())
    }

    /// Makes the elements forget all they hold.
    pub fn flush(&self) -> Result<()> {
        self.event(gst::event::FlushStart::new())?;
        self.event(gst::event::FlushStop::new(true))?;
        self.segment()
    }
}

impl Drop for Inlet {
    fn drop(&mut self) {
        let _ = self.pad.unlink(&self.to);
        let _ = self.pad.set_active(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strangers' bytes reach these elements and no others: no demuxer, no type finder.
    const LIVE: [&str; 7] = [
        "alawdec",
        "appsink",
        "audioresample",
        "capsfilter",
        "filesink",
        "matroskamux",
        "mulawdec",
    ];

    #[test]
    fn live_graphs_hold_only_what_is_on_the_list() {
        for text in [
            include_str!("../../pipelines/segment.gst"),
            include_str!("../../pipelines/decode_pcmu.gst"),
            include_str!("../../pipelines/decode_pcma.gst"),
        ] {
            let factories = Graph::load(text).expect("loads").factories();
            assert!(factories.len() >= 2);
            for factory in factories {
                assert!(LIVE.contains(&factory.as_str()), "{factory} in {text}");
            }
        }
    }

    #[test]
    fn a_graph_with_a_missing_element_says_so() {
        let error = Graph::load("nosuchelement name=a ! appsink")
            .err()
            .expect("does not load");
        assert!(format!("{error:#}").contains("nosuchelement"), "{error:#}");
    }
}
