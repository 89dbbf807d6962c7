//! The checks of [`super::examine`].

use super::Finding;
use crate::{
    config::Settings,
    queue::Queue,
    speech::{
        measured::{self, Machine},
        model::{Model, ModelError, Registry},
    },
};
use gstreamer as gst;
use std::{
    collections::BTreeMap,
    net::{TcpListener, UdpSocket},
    time::{Duration, Instant},
};

/// Every element that the graphs in `pipelines/` and `media` use, and the Debian package that
/// brings it.
pub(super) const ELEMENTS: [(&str, &str); 19] = [
    ("alawdec", "gstreamer1.0-plugins-good"),
    ("appsink", "gstreamer1.0-plugins-base"),
    ("appsrc", "gstreamer1.0-plugins-base"),
    ("audioconvert", "gstreamer1.0-plugins-base"),
    ("audioresample", "gstreamer1.0-plugins-base"),
    ("avdec_aac", "gstreamer1.0-libav"),
    ("avenc_aac", "gstreamer1.0-libav"),
    ("capsfilter", "libgstreamer1.0-0"),
    ("filesink", "libgstreamer1.0-0"),
    ("filesrc", "libgstreamer1.0-0"),
    ("matroskademux", "gstreamer1.0-plugins-good"),
    ("matroskamux", "gstreamer1.0-plugins-good"),
    ("mp4mux", "gstreamer1.0-plugins-good"),
    ("mulawdec", "gstreamer1.0-plugins-good"),
    ("opusdec", "gstreamer1.0-plugins-base"),
    ("opusenc", "gstreamer1.0-plugins-base"),
    ("qtdemux", "gstreamer1.0-plugins-good"),
    ("queue", "libgstreamer1.0-0"),
    ("webmmux", "gstreamer1.0-plugins-good"),
];

const FREE_BYTES_WARN: u64 = 5 << 30;
const FREE_BYTES_FAIL: u64 = 256 << 20;

pub async fn gstreamer() -> Finding {
    let what = "GStreamer";
    // The first start after an installation scans every plugin.
    let looked = tokio::task::spawn_blocking(|| {
        gst::init()?;
        let missing = ELEMENTS
            .iter()
            .filter(|(element, _)| gst::ElementFactory::find(element).is_none());
        Ok::<_, gst::glib::Error>((
            gst::version_string().to_string(),
            missing.collect::<Vec<_>>(),
        ))
    });
    match looked.await {
        Ok(Ok((version, missing))) if missing.is_empty() => {
            Finding::ok(what, format!("{version}, all {} elements", ELEMENTS.len()))
        }
        Ok(Ok((_, missing))) => {
            let elements: Vec<_> = missing.iter().map(|(element, _)| *element).collect();
            let packages: BTreeMap<_, ()> =
                missing.iter().map(|(_, package)| (*package, ())).collect();
            let packages: Vec<_> = packages.into_keys().collect();
            Finding::fail(
                what,
                format!("these elements are missing: {}", elements.join(", ")),
                format!("apt-get install {}", packages.join(" ")),
            )
        }
        Ok(Err(error)) => {
            Finding::fail(what, error.to_string(), "apt-get install libgstreamer1.0-0")
        }
        Err(error) => Finding::fail(
            what,
            error.to_string(),
            "apt-get install --reinstall libgstreamer1.0-0",
        ),
    }
}

pub fn data(settings: &Settings) -> Finding {
    let what = "data directory";
    let place = settings.data.display();
    let probe = settings
        .data
        .join(format!("doctor-{}", uuid::Uuid::new_v4()));
    let written =
        std::fs::create_dir_all(&settings.data).and_then(|()| std::fs::write(&probe, b"well"));
    // It may never have been written.
    let _ = std::fs::remove_file(&probe);
    if let Err(error) = written {
        return Finding::fail(
            what,
            format!("{place}: {error}"),
            "choose another with --data, or let this user write to it",
        );
    }
    match rustix::fs::statvfs(&settings.data) {
        Ok(volume) => {
            let free = volume.f_bavail.saturating_mul(volume.f_frsize);
            let found = format!("{place}, {:.1} GiB free", free as f64 / f64::from(1 << 30));
            let mend = "make room: what is being recorded waits here until it is stored";
            if free < FREE_BYTES_FAIL {
                Finding::fail(what, found, mend)
            } else if free < FREE_BYTES_WARN {
                Finding::warn(what, found, mend)
            } else {
                Finding::ok(what, found)
            }
        }
        Err(error) => Finding::warn(
            what,
            format!("{place}: {error}"),
            "see how much room there is",
        ),
    }
}

pub async fn model(settings: &Settings) -> Vec<Finding> {
    let what = "speech model";
    let (data, name) = (settings.data.clone(), settings.model.clone());
    // Reads the whole file.
    let verified = tokio::task::spawn_blocking(move || {
        let registry = Registry::new(&data)?;
        let name = name.unwrap_or_else(|| registry.default_name());
        anyhow::Ok(registry.verify(&name)?)
    });
    let model = match verified.await {
        Ok(Ok((model, path))) => {
            let found = format!("{}, checksum right ({})", model.name, path.display());
            let finding = match model.bundled {
                true => Finding::warn(what, found, format!("this one knows {}", model.note)),
                false => Finding::ok(what, found),
            };
            return vec![finding, room(settings, &model)];
        }
        Ok(Err(error)) => error,
        Err(error) => error.into(),
    };
    let is_fetched = model
        .downcast_ref::<ModelError>()
        .is_some_and(ModelError::is_mended_by_fetching);
    let found = format!("{model:#}");
    vec![match settings.model.as_ref().filter(|_| is_fetched) {
        Some(_) => Finding::warn(what, found, "it is fetched at the next start"),
        None => Finding::fail(what, found, "hansard models fetch base.en"),
    }]
}

/// How many live meetings this machine carries with the model.
fn room(settings: &Settings, model: &Model) -> Finding {
    let what = "live meetings";
    let machine = Machine::here(settings.gpu);
    match measured::meetings(&settings.data, model, &machine) {
        Some(0) => Finding::warn(
            what,
            format!("this machine is too slow for {}", model.name),
            "choose a smaller model: hansard models list, hansard models bench",
        ),
        Some(meetings) => Finding::ok(
            what,
            format!(
                "{meetings} with {} on {} cores, as measured",
                model.name, machine.cores
            ),
        ),
        None => Finding::ok(
            what,
            format!(
                "not measured with {}; hansard models bench does",
                model.name
            ),
        ),
    }
}

pub async fn queue(settings: &Settings) -> Vec<Finding> {
    let what = "queue";
    let Some(url) = &settings.amqp_url else {
        return vec![Finding::ok(
            what,
            "within the process; api and worker need AMQP_URL",
        )];
    };
    let queue = match Queue::amqp(url.reveal()) {
        Ok(queue) => queue,
        Err(error) => {
            return vec![Finding::fail(
                what,
                error,
                "AMQP_URL looks like amqp://user:password@host:5672/%2f",
            )];
        }
    };
    let asked = Instant::now();
    while queue.unreachable_since().is_some() && asked.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let finding = match queue.unreachable_since() {
        None => Finding::ok(what, "RabbitMQ; a message went there and came back"),
        Some(_) => Finding::fail(
            what,
            "RabbitMQ does not answer, or refuses us (its log says which)",
            "see whether AMQP_URL is right, RabbitMQ is 3.10 or later, and the user may configure, write and read hansard.*",
        ),
    };
    queue.close().await;
    vec![finding]
}

pub fn ports(settings: &Settings) -> Finding {
    let what = "media ports";
    let rtp = &settings.rtp;
    let mut taken = 0_usize;
    let mut refused = None;
    for port in rtp.ports.clone() {
        match UdpSocket::bind((rtp.bind, port)) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => taken += 1,
            Err(error) => refused = Some(error),
        }
    }
    let all = rtp.ports.len();
    let found = format!(
        "UDP {}-{} on {}, told as {}: {} of {all} free",
        rtp.ports.start(),
        rtp.ports.end(),
        rtp.bind,
        rtp.public_ips[0],
        all - taken
    );
    match refused {
        Some(error) => Finding::fail(
            what,
            format!("{found}; {error}"),
            "set rtp.bind to an address of this machine, and rtp.ports above 1023",
        ),
        None if taken == all => Finding::fail(what, found, "choose other ports with --rtp-ports"),
        None if given_out_by_the_kernel(&rtp.ports) => Finding::warn(
            what,
            format!(
                "{found}; the kernel gives some of them to any program (net.ipv4.ip_local_port_range)"
            ),
            "choose ports outside that range: after a restart another program may hold a stream's port",
        ),
        None if rtp.bind.is_loopback() => Finding::warn(
            what,
            found,
            "only this machine can send: set --rtp-bind 0.0.0.0, --rtp-public-ip to what clients reach, and open the ports for UDP",
        ),
        None if taken > all / 2 => Finding::warn(
            what,
            found,
            "more than half are taken: choose a wider range with --rtp-ports",
        ),
        None => Finding::ok(what, found),
    }
}

/// Whether browsers' media finds a port, and whether they can reach it.
pub fn webrtc(settings: &Settings) -> Finding {
    let what = "browsers";
    let rtp = &settings.rtp;
    let Some(ports) = rtp.webrtc_ports.clone() else {
        return Finding::warn(
            what,
            "a worker with these settings takes no media from them (WebRTC)",
            "set rtp-webrtc-ports, and open the ports for UDP and TCP",
        );
    };
    let told: Vec<String> = rtp.public_ips.iter().map(ToString::to_string).collect();
    let told = told.join(", ");
    let (first, last) = (*ports.start(), *ports.end());
    if last == 0 {
        return Finding::ok(
            what,
            format!("any free port on {}, told as {told}", rtp.bind),
        );
    }
    let free = |port: &u16| {
        UdpSocket::bind((rtp.bind, *port)).is_ok() && TcpListener::bind((rtp.bind, *port)).is_ok()
    };
    let all = ports.len();
    let free = ports.filter(free).count();
    let found = format!(
        "UDP and TCP {first}-{last} on {}, told as {told}: {free} of {all} free",
        rtp.bind
    );
    if free == 0 {
        Finding::fail(
            what,
            found,
            "each worker of this host takes one: choose more with --rtp-webrtc-ports",
        )
    } else if rtp.bind.is_loopback() {
        Finding::warn(
            what,
            found,
            "only browsers of this machine can send: set --rtp-bind 0.0.0.0, --rtp-public-ip to what clients reach, and open the ports for UDP and TCP",
        )
    } else {
        Finding::ok(what, found)
    }
}

/// Whether the range overlaps the ports that the kernel chooses from for sockets that ask for none.
fn given_out_by_the_kernel(ports: &std::ops::RangeInclusive<u16>) -> bool {
    let range =
        std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().map(str::parse::<u16>);
    match (ends.next(), ends.next()) {
        (Some(Ok(first)), Some(Ok(last))) => *ports.start() <= last && first <= *ports.end(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_element_of_the_graphs_is_looked_for() {
        let graphs = Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines");
        for entry in std::fs::read_dir(graphs).expect("they are there").flatten() {
            let text = std::fs::read_to_string(entry.path()).expect("it is text");
            let text: String = text
                .lines()
                .filter(|line| !line.trim_start().starts_with('#'))
                .collect::<Vec<_>>()
                .join(" ");
            for element in text
                .split('!')
                .filter_map(|part| part.split_whitespace().next())
            {
                let pad = element.contains('.');
                let caps = element.contains('/');
                let known = ELEMENTS.iter().any(|(known, _)| *known == element);
                assert!(
                    known || pad || caps,
                    "{element} in {} has no package in ELEMENTS",
                    entry.path().display()
                );
            }
        }
    }
}
