use super::*;
use clap::Parser;

fn media(arguments: &[&str]) -> Sources {
    let cli = Cli::try_parse_from([&["hansard", "worker"], arguments].concat())
        .expect("the flags are right");
    let Command::Worker {
        base,
        stores,
        media,
    } = cli.command
    else {
        unreachable!("it was asked for")
    };
    Sources::new(base)
        .stores(stores)
        .media(media)
        .environment([("HOME", "/home/ana")])
}

const SHARED: [(&str, &str); 6] = [
    ("DATABASE_URL", "postgres://ana:tell-nobody@db/hansard"),
    ("AMQP_URL", "amqp://mq"),
    ("S3_ENDPOINT", "http://s3:9000/"),
    ("S3_ACCESS_KEY_ID", "id"),
    ("S3_SECRET_ACCESS_KEY", "tell-nobody"),
    ("HANSARD_SECRET", "tell-nobody-tell-nobody-tell-nobody"),
];

fn error(sources: Sources) -> String {
    Settings::resolve(sources, Deployment::Standalone)
        .expect_err("it must be refused")
        .to_string()
}

#[test]
fn a_flag_beats_the_environment_beats_the_file_beats_the_default() {
    let path = std::env::temp_dir().join(format!("hansard-{}.toml", uuid::Uuid::new_v4()));
    std::fs::write(
        &path,
        "capacity = 7\nqueues = ['mix', 'clean']\n[rtp]\nbind = '0.0.0.0'\npublicIp = '192.0.2.1'\nallow = ['10.0.0.0/8', '::1']\n",
    )
    .expect("the temporary directory can be written to");
    let sources = media(&["--rtp-public-ip", "192.0.2.3"]).environment([
        ("HANSARD_CONFIG", path.to_str().expect("it is text")),
        ("HANSARD_RTP_PUBLIC_IP", "192.0.2.2"),
        ("HANSARD_CAPACITY", "8"),
        ("HANSARD_DATA", "/srv/hansard"),
    ]);
    let settings = Settings::resolve(sources, Deployment::Standalone).expect("it is right");
    std::fs::remove_file(path).expect("it is there");
    assert_eq!(settings.rtp.public_ips, [IpAddr::from([192, 0, 2, 3])]);
    assert_eq!(settings.rtp.bind, IpAddr::from([0, 0, 0, 0]));
    assert_eq!(settings.rtp.allow, ["10.0.0.0/8", "::1"]);
    assert_eq!(settings.rtp.ports, 20_000..=20_999);
    assert_eq!(settings.capacity, Some(8));
    assert_eq!(
        settings.queues,
        JobKind::taken(&[JobKind::Mix, JobKind::Clean])
    );
    assert_eq!(settings.data, PathBuf::from("/srv/hansard"));
}

#[test]
fn an_empty_variable_is_unset_but_must_be_known() {
    let sources = media(&[]).environment([
        ("HOME", "/home/ana"),
        ("HANSARD_MODEL", ""),
        ("HANSARD_CAPACITY", ""),
    ]);
    assert_eq!(
        Settings::resolve(sources, Deployment::Standalone)
            .expect("it is right")
            .model,
        None
    );
    assert!(
        error(media(&[]).environment([("HOME", "/home/ana"), ("HANSARD_MODELS", "")]))
            .contains("no setting models")
    );
}

#[test]
fn unknown_names_and_wrong_values_are_errors() {
    let file = |content: &str| {
        let path = std::env::temp_dir().join(format!("hansard-{}.toml", uuid::Uuid::new_v4()));
        std::fs::write(&path, content).expect("the temporary directory can be written to");
        let said = error(media(&["--config", path.to_str().expect("it is text")]));
        std::fs::remove_file(path).expect("it is there");
        said
    };
    assert!(file("[rtp]\npublicIP = '192.0.2.1'").contains("no setting rtp-public-i-p"));
    assert!(file("capacity = true").contains("neither text nor a number"));
    assert!(file("capacity = 7\ncapacity = 8").contains("duplicate key"));
    assert!(
        file("[rtp]\nbind = '::1'\n[rtp.public]\nip = '::1'\n[secret]\nx = 'y'")
            .contains("no setting secret-x")
    );
    for (variable, value, said) in [
        (
            "HANSARD_RTP_PORT",
            "5000",
            "no setting rtp-port (HANSARD_RTP_PORT)",
        ),
        ("HANSARD_RTP_PORTS", "5000-4000", "no port in 5000-4000"),
        (
            "HANSARD_RTP_ALLOW",
            "10.0.0.0/33",
            "has no length between 0 and 32",
        ),
        ("HANSARD_RTP_BIND", "0.0.0.0", "rtp-public-ip"),
        ("HANSARD_CAPACITY", "0", "HANSARD_CAPACITY"),
        ("HANSARD_QUEUES", "capture,films", "no kind of job"),
        (
            "HANSARD_PUBLIC_URL",
            "ftp://example.org",
            "http:// or https://",
        ),
        ("HANSARD_ORIGINS", "https://example.org/page", "has a path"),
    ] {
        let found = error(media(&[]).environment([("HOME", "/home/ana"), (variable, value)]));
        assert!(found.contains(said), "{variable}: {found}");
    }
}

#[test]
fn what_kubernetes_sets_for_a_service_of_our_name_is_left_alone() {
    let own = [("HOME", "/home/ana"), ("HANSARD_CAPACITY", "3")];
    let theirs = [
        ("HANSARD_SERVICE_HOST", "10.0.0.7"),
        ("HANSARD_SERVICE_PORT", "80"),
        ("HANSARD_SERVICE_PORT_HTTP", "80"),
        ("HANSARD_PORT", "tcp://10.0.0.7:80"),
        ("HANSARD_PORT_80_TCP", "tcp://10.0.0.7:80"),
        ("HANSARD_PORT_80_TCP_PROTO", "tcp"),
        ("HANSARD_PORT_80_TCP_PORT", "80"),
        ("HANSARD_PORT_80_TCP_ADDR", "10.0.0.7"),
        ("HANSARD_PORT_40000_UDP", "udp://10.0.0.7:40000"),
        ("HANSARD_API_SERVICE_HOST", "fd00::7"),
        ("HANSARD_RTP_PORT", "udp://[fd00::7]:40000"),
        ("HANSARD_MY_WORKER_PORT_9091_TCP_ADDR", "10.0.0.8"),
    ];
    let settings = Settings::resolve(
        media(&[]).environment(own.into_iter().chain(theirs)),
        Deployment::Standalone,
    );
    let settings = settings.expect("they are not ours");
    assert_eq!(settings.capacity, Some(3));
    let [note] = &settings.notes[..] else {
        panic!("{:?}", settings.notes)
    };
    assert!(
        note.harmless && theirs.iter().all(|(name, _)| note.found.contains(name)),
        "{note:?}"
    );
    // What only looks a little like them is a mistake of the operator, as ever.
    for (name, value) in [
        ("HANSARD_PORT", "8080"),
        ("HANSARD_RTP_PORT", "40000"),
        ("HANSARD_PORT_80", "x"),
        ("HANSARD_SERVICE", "x"),
        ("HANSARD_HOST", "tcp://10.0.0.7:80"),
        ("HANSARD_PORT", "http://10.0.0.7:80"),
    ] {
        let said = error(media(&[]).environment(own.into_iter().chain([(name, value)])));
        assert!(said.contains("no setting"), "{name}: {said}");
    }
}

#[test]
fn passwords_among_the_flags_and_open_doors_are_said() {
    let flags = [
        "--database-url",
        "postgres://ana:tell-nobody@db/hansard",
        "--amqp-url",
        "amqp://mq",
    ];
    let settings = Settings::resolve(media(&flags), Deployment::Standalone).expect("it is right");
    let [note] = &settings.notes[..] else {
        panic!("{:?}", settings.notes)
    };
    assert!(
        !note.harmless
            && note.found.contains("--database-url")
            && note.mend.contains("DATABASE_URL_FILE")
    );
    assert!(!format!("{note:?}").contains("tell-nobody"));
    let quiet = media(&[]).environment(SHARED.into_iter().chain([("HOME", "/home/ana")]));
    assert_eq!(
        Settings::resolve(quiet, Deployment::Standalone)
            .expect("it is right")
            .notes,
        []
    );
    let open = media(&[]).environment([("HOME", "/home/ana"), ("HANSARD_ORIGINS", "*")]);
    let open = Settings::resolve(open, Deployment::Standalone).expect("it is right");
    assert!(
        open.origins == ["*"]
            && open.notes[0].harmless
            && open.notes[0].found.contains("every origin")
    );
}

#[test]
fn an_api_and_a_worker_on_one_host_have_two_operations_addresses() {
    let port = |sources| {
        Settings::resolve(sources, Deployment::Standalone)
            .expect("it is right")
            .ops_listen
            .port()
    };
    assert_eq!(port(media(&[])), 9090);
    assert_eq!(port(media(&[]).ops_port(9091)), 9091);
    assert_eq!(
        port(media(&["--ops-listen", "127.0.0.1:7000"]).ops_port(9091)),
        7000
    );
}

#[test]
fn processes_among_others_say_what_is_missing() {
    let none = Settings::resolve(media(&[]), Deployment::Shared)
        .expect_err("nothing is given")
        .to_string();
    for (variable, _) in SHARED {
        assert!(none.contains(variable), "{none}");
    }
    for (left_out, _) in SHARED {
        let others = SHARED.into_iter().filter(|(name, _)| *name != left_out);
        let sources = media(&[]).environment(others.chain([("HOME", "/home/ana")]));
        let said = Settings::resolve(sources, Deployment::Shared)
            .expect_err("one is missing")
            .to_string();
        assert!(said.contains(&format!("missing: {left_out};")), "{said}");
    }
    let all = media(&[]).environment(SHARED.into_iter().chain([("HOME", "/home/ana")]));
    let settings = Settings::resolve(all, Deployment::Shared).expect("nothing is missing");
    let s3 = settings.s3.as_ref().expect("it was given");
    assert_eq!(
        (s3.endpoint.as_str(), s3.public_endpoint.as_str()),
        ("http://s3:9000", "http://s3:9000")
    );
    assert_eq!(
        settings.data,
        PathBuf::from("/home/ana/.local/share/hansard")
    );
    assert!(
        !format!("{settings:?}").contains("tell-nobody"),
        "{settings:?}"
    );
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let path = std::env::temp_dir().join(format!("hansard-{}.secret", uuid::Uuid::new_v4()));
    std::fs::write(&path, "tell-nobody-tell-nobody-tell-nobody\n")
        .expect("the temporary directory can be written to");
    let from_file = [
        ("HOME", "/home/ana"),
        ("HANSARD_SECRET_FILE", path.to_str().expect("it is text")),
    ];
    let settings = Settings::resolve(media(&[]).environment(from_file), Deployment::Standalone)
        .expect("it is right");
    assert_eq!(
        settings.secret.map(|secret| secret.reveal().len()),
        Some(35)
    );
    let twice = from_file
        .into_iter()
        .chain([("HANSARD_SECRET", "tell-nobody-tell-nobody-tell-nobody-2")]);
    let said = error(media(&[]).environment(twice));
    assert!(
        said.contains("is set, too") && !said.contains("tell-nobody"),
        "{said}"
    );
    std::fs::remove_file(path).expect("it is there");

    let said =
        error(media(&[]).environment([("HOME", "/home/ana"), ("HANSARD_SECRET", "tell-nobody")]));
    assert!(
        said.contains("at least 32 bytes") && !said.contains("tell-nobody"),
        "{said}"
    );
    assert!(Cli::try_parse_from(["hansard", "worker", "--secret", "x"]).is_err());
}

#[test]
fn relays_are_told_with_a_secret_and_never_without() {
    let resolve = |urls: &str, secret: Option<&str>| {
        let mut environment = vec![("HOME", "/home/ana"), ("HANSARD_ICE_URLS", urls)];
        environment.extend(secret.map(|secret| ("HANSARD_TURN_SECRET", secret)));
        Settings::resolve(media(&[]).environment(environment), Deployment::Standalone)
            .map(|settings| settings.ice_urls)
            .map_err(|error| error.to_string())
    };
    let both = "stun:s.example.org,turns:t.example.org:443?transport=tcp";
    assert_eq!(resolve(both, Some("north")).map(|urls| urls.len()), Ok(2));
    for (urls, secret, says) in [
        (both, None, "static-auth-secret"),
        ("stun:s.example.org", Some("north"), "no TURN server"),
        ("https://t.example.org", None, "ice-urls"),
        ("turn://t.example.org", Some("north"), "ice-urls"),
        ("stun:", None, "ice-urls"),
    ] {
        let error = resolve(urls, secret).expect_err(urls);
        assert!(error.contains(says) && !error.contains("north"), "{error}");
    }
}

#[test]
fn keys_for_another_s3_do_not_matter_to_the_one_brought_along() {
    let sources = media(&[]).environment([("HOME", "/home/ana"), ("AWS_ACCESS_KEY_ID", "id")]);
    assert!(
        Settings::resolve(sources, Deployment::Standalone)
            .expect("it is right")
            .s3
            .is_none()
    );
    let sources = media(&[]).environment([("HOME", "/home/ana"), ("S3_ENDPOINT", "http://s3")]);
    assert!(error(sources).contains("S3_ACCESS_KEY_ID, S3_SECRET_ACCESS_KEY"));
}

#[test]
fn the_commands_are_well_formed() {
    use clap::CommandFactory;
    Cli::command().debug_assert();
    command::AllFlags::command().debug_assert();
    Cli::try_parse_from([
        "hansard", "key", "create", "--tenant", "Acme", "--data", "/srv",
    ])
    .expect("it is a command");
    Cli::try_parse_from([
        "hansard",
        "models",
        "fetch",
        "base.en",
        "--base-url",
        "http://x",
    ])
    .expect("it is a command");
}

#[test]
fn tiers_are_the_classes_that_are_set_at_the_prices_that_are_given() {
    use crate::domain::tiering::Tier;
    let path = std::env::temp_dir().join(format!("hansard-{}.toml", uuid::Uuid::new_v4()));
    let resolve = |prices: &str, variables: &[(&str, &str)]| {
        std::fs::write(&path, prices).expect("the temporary directory can be written to");
        let path = path.to_str().expect("it is text");
        let given = [("HOME", "/home/ana"), ("HANSARD_TIER_PRICES", path)];
        let sources = media(&[]).environment(given.into_iter().chain(variables.iter().copied()));
        Settings::resolve(sources, Deployment::Standalone)
    };
    let ice = "[ICE]\ngbMonth = 0.5\nwrites1000 = 1\nminimumDays = 7\n";
    let settings = resolve(
        ice,
        &[
            ("HANSARD_S3_CLASS_COLD", "ICE"),
            ("HANSARD_S3_COPY_MAX", "9"),
        ],
    )
    .expect("it is right");
    assert_eq!(settings.tariff.classes.of(Tier::Cold), "ICE");
    assert_eq!(settings.tariff.classes.of(Tier::Warm), "STANDARD_IA");
    assert_eq!(settings.copy_bytes_max, 9);
    let price = settings.tariff.prices.of("ICE").expect("it is given");
    assert_eq!((price.writes_1000, price.minimum_days), (1.0, 7));
    for (prices, variable, said) in [
        (
            "",
            ("HANSARD_S3_CLASS_COLD", "ICE"),
            "a table [ICE], the class of the tier cold",
        ),
        (
            "",
            ("HANSARD_S3_CLASS_COLD", "ice"),
            "no storage class like GLACIER_IR",
        ),
        (
            "",
            ("HANSARD_S3_CLASS_HOT", "GLACIER"),
            "cannot be read at once",
        ),
        (
            "[ICE]\ngbMonth = 1",
            ("HANSARD_S3_COPY_MAX", "9"),
            "missing field `writes1000`",
        ),
        (
            "[ICE]\ngbMonth = -1\nwrites1000 = 0",
            ("HANSARD_S3_COPY_MAX", "9"),
            "not below 0",
        ),
        (
            "[ICE]\nprice = 1",
            ("HANSARD_S3_COPY_MAX", "9"),
            "unknown field `price`",
        ),
        ("", ("HANSARD_S3_COPY_MAX", "0"), "HANSARD_S3_COPY_MAX"),
    ] {
        let error = resolve(prices, &[variable]).expect_err("it must be refused");
        let error = error.to_string();
        assert!(error.contains(said), "{error}");
    }
    std::fs::remove_file(&path).expect("it is there");
}
