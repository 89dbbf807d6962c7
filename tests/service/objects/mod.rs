//! Object storage against a real S3 server (the embedded one): verified, tiered, linked, and
//! bounded when it is away.

mod conform;
mod dialect;
mod kill;
mod restore;
mod transfer;

use crate::support::{
    faults::{Fault as Wrong, Faults, Rule},
    s3::Bucket,
};
use hansard::{
    domain::{
        fault::{Away, Fault},
        restore::RestoreSpeed,
        tiering::Tier,
    },
    objects::{
        Diagnosis, Dialect, Disposition, ObjectError, Objects, StorageConfig, Verb, Wanted,
        diagnose,
    },
};
use std::time::Duration;

#[tokio::test]
async fn what_is_stored_comes_back_verified() {
    let bucket = Bucket::start().await;
    let objects = &bucket.objects;
    let stored = objects
        .put_bytes("m/a.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
        .await
        .expect("stored");
    assert_eq!(stored.size_bytes, 5);
    assert_eq!(
        stored.sha256,
        "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    );
    let head = objects
        .head("m/a.txt")
        .await
        .expect("it answers")
        .expect("it is there");
    assert_eq!(
        (head.size_bytes, head.sha256),
        (5, Some(stored.sha256.clone()))
    );
    assert_eq!(
        (head.class.as_str(), head.content_type.as_deref()),
        (Tier::Hot.class(), Some("text/plain"))
    );
    assert_eq!(
        objects.get_bytes("m/a.txt").await.expect("it is there"),
        b"hello"
    );

    let file = bucket.scratch.path().join("back");
    assert_eq!(
        objects
            .get_file("m/a.txt", &file)
            .await
            .expect("it is there"),
        stored
    );
    assert_eq!(std::fs::read(&file).expect("it was written"), b"hello");
    assert_eq!(
        objects
            .put_file("m/b.txt", &file, "text/plain", Tier::Hot)
            .await
            .expect("stored"),
        stored
    );

    let listed: Vec<_> = objects
        .list("m/", 10)
        .await
        .expect("it answers")
        .into_iter()
        .map(|o| o.key)
        .collect();
    assert_eq!(listed, ["m/a.txt", "m/b.txt"]);
    assert_eq!(objects.list("m/", 1).await.expect("it answers").len(), 1);

    objects.delete("m/a.txt").await.expect("deleted");
    objects
        .delete("m/a.txt")
        .await
        .expect("deleting again is no error");
    assert_eq!(objects.head("m/a.txt").await.expect("it answers"), None);
    assert!(matches!(
        objects.get_bytes("m/a.txt").await,
        Err(ObjectError::Missing(_))
    ));
    assert_eq!(objects.key(&objects.url("m/a.txt")), Some("m/a.txt"));
    assert_eq!(objects.key("s3://elsewhere/m/a.txt"), None);
}

#[tokio::test]
async fn a_changed_object_is_noticed() {
    let bucket = Bucket::start().await;
    bucket
        .objects
        .put_bytes("m/a.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
        .await
        .expect("stored");
    let folder = bucket
        .scratch
        .path()
        .join("data/_buckets/hansard/objects/m/a.txt=");
    let version = std::fs::File::options()
        .write(true)
        .open(folder.join("0000000000000001.null"));
    std::os::unix::fs::FileExt::write_all_at(&version.expect("it is there"), b"hullo", 0)
        .expect("there is room");
    let file = bucket.scratch.path().join("back");
    assert!(matches!(
        bucket.objects.get_file("m/a.txt", &file).await,
        Err(ObjectError::Differs { .. })
    ));
    assert!(!file.exists());
}

#[tokio::test]
async fn a_large_file_goes_in_parts() {
    let bucket = Bucket::start().await;
    let file = bucket.scratch.path().join("large");
    let mut state = 1_u32;
    let content: Vec<u8> = (0..65 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    std::fs::write(&file, &content).expect("there is room");
    let stored = bucket
        .objects
        .put_file("m/large.mkv", &file, "video/x-matroska", Tier::Warm)
        .await
        .expect("stored");
    assert_eq!(stored.size_bytes, content.len() as u64);
    let head = bucket
        .objects
        .head("m/large.mkv")
        .await
        .expect("it answers")
        .expect("it is there");
    assert_eq!(
        (head.class.as_str(), head.sha256),
        (Tier::Warm.class(), Some(stored.sha256))
    );
    for folder in ["_unfinished", "_buckets/hansard/uploads"] {
        let folder = bucket.scratch.path().join("data").join(folder);
        let left: Vec<_> = std::fs::read_dir(folder)
            .expect("it is there")
            .flatten()
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// As `doctor` beside a running `serve` tries.
#[tokio::test]
async fn a_second_server_leaves_the_first_alone() {
    use hansard::embed::s3::{Options, S3Server};
    let bucket = Bucket::start().await;
    let client = bucket.client();
    let begun = client
        .create_multipart_upload()
        .bucket("hansard")
        .key("m/a");
    let begun = begun.send().await.expect("it begins");
    let id = begun.upload_id().expect("it has an id");
    let own = bucket.settings.endpoint.trim_start_matches("http://");
    for address in [own, "127.0.0.1:0"] {
        let address = address.parse().expect("an address");
        let second = S3Server::start(bucket.scratch.path(), address, Options::default()).await;
        assert!(second.is_err(), "{address}");
    }
    let parts = client
        .list_parts()
        .bucket("hansard")
        .key("m/a")
        .upload_id(id);
    parts.send().await.expect("the upload is still there");
}

#[tokio::test]
async fn tiers_are_kept_and_the_archive_must_be_restored() {
    let mut bucket = Bucket::start().await;
    for tier in Tier::ALL {
        let key = format!("m/{}.bin", tier.as_str());
        bucket
            .objects
            .put_bytes(&key, vec![7; 100], "application/octet-stream", tier)
            .await
            .expect("stored");
    }
    bucket.restart().await;
    let objects = &bucket.objects;
    for tier in Tier::ALL {
        let key = format!("m/{}.bin", tier.as_str());
        let head = objects
            .head(&key)
            .await
            .expect("it answers")
            .expect("it is there");
        assert_eq!(head.class, tier.class());
        match objects.get_bytes(&key).await {
            Ok(bytes) => assert_eq!((tier != Tier::Archive, bytes), (true, vec![7; 100])),
            Err(error) => assert!(
                matches!((tier, &error), (Tier::Archive, ObjectError::Archived(_))),
                "{error}"
            ),
        }
    }
    let sha256 = objects
        .head("m/hot.bin")
        .await
        .expect("it answers")
        .and_then(|head| head.sha256)
        .expect("its own hash");
    let wanted = Wanted {
        size_bytes: 100,
        sha256: &sha256,
        sum: None,
    };
    let transfer = async |key, tier: Tier| objects.transfer(key, tier.class(), wanted, None).await;
    // Twice is once.
    for _ in 0..2 {
        transfer("m/hot.bin", Tier::Cold)
            .await
            .expect("copied in place");
    }
    let moved = objects.head("m/hot.bin").await.expect("it answers");
    assert_eq!(moved.expect("it is there").class, Tier::Cold.class());
    assert_eq!(
        objects
            .get_bytes("m/hot.bin")
            .await
            .expect("it can be read"),
        vec![7; 100]
    );
    assert!(matches!(
        transfer("m/archive.bin", Tier::Hot).await,
        Err(ObjectError::Archived(_))
    ));
    assert!(matches!(
        transfer("m/nothing.bin", Tier::Cold).await,
        Err(ObjectError::Missing(_))
    ));
    assert_eq!(
        objects
            .head("m/archive.bin")
            .await
            .expect("it answers")
            .expect("it is there")
            .restore,
        None
    );
    objects
        .restore("m/archive.bin", 2, RestoreSpeed::Bulk)
        .await
        .expect("it can be restored");
    assert_eq!(
        objects
            .get_bytes("m/archive.bin")
            .await
            .expect("it can be read"),
        vec![7; 100]
    );
    assert_eq!(
        objects
            .head("m/archive.bin")
            .await
            .expect("it answers")
            .expect("there")
            .class,
        Tier::Archive.class()
    );
}

#[tokio::test]
async fn a_link_works_without_credentials_and_only_as_signed() {
    let bucket = Bucket::start().await;
    bucket
        .objects
        .put_bytes("m/mix.mp4", (0..=255).collect(), "audio/mp4", Tier::Hot)
        .await
        .expect("stored");
    let valid = Duration::from_secs(60);
    let link = bucket
        .objects
        .presign(
            Verb::Get,
            "m/mix.mp4",
            "Jour fixe 3.mp4",
            "audio/mp4",
            Disposition::Attachment,
            valid,
        )
        .await
        .expect("signed");
    let http = reqwest::Client::new();
    let answer = http
        .get(&link)
        .header("origin", "http://page.example")
        .send()
        .await
        .expect("it answers");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "audio/mp4");
    assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    let disposition = answer.headers()["content-disposition"]
        .to_str()
        .expect("it is text");
    assert_eq!(
        disposition,
        "attachment; filename=\"Jour fixe 3.mp4\"; filename*=UTF-8''Jour%20fixe%203.mp4"
    );
    assert_eq!(answer.bytes().await.expect("it has a body").len(), 256);

    let part = http
        .get(&link)
        .header("range", "bytes=10-19")
        .send()
        .await
        .expect("it answers");
    assert_eq!(part.status(), 206);
    assert_eq!(part.headers()["content-range"], "bytes 10-19/256");
    assert_eq!(
        part.bytes().await.expect("it has a body").as_ref(),
        (10..20).collect::<Vec<u8>>()
    );

    for wrong in [
        link.replace("mix.mp4", "other.mp4"),
        link.split('?').next().expect("a path").to_owned(),
    ] {
        assert_eq!(
            http.get(&wrong).send().await.expect("it answers").status(),
            403,
            "{wrong}"
        );
    }
}

#[tokio::test]
async fn a_storage_that_is_away_is_a_passing_fault() {
    let mut bucket = Bucket::start().await;
    bucket.stop().await;
    let put = bucket
        .objects
        .put_bytes("m/a.txt", b"hello".to_vec(), "text/plain", Tier::Hot);
    let error = tokio::time::timeout(Duration::from_secs(60), put)
        .await
        .expect("it is bounded")
        .expect_err("away");
    assert!(error.is_transient(), "{error}");
    bucket.restart().await;
    bucket
        .objects
        .put_bytes("m/a.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
        .await
        .expect("stored");
}

/// What `serve` does below its own address: with a link read, and nothing else.
#[tokio::test]
async fn files_are_handed_on_to_whoever_has_the_link() {
    use axum::{body::Body, http::Request};
    use tower::ServiceExt;
    let bucket = Bucket::start().await;
    bucket
        .objects
        .put_bytes("m/a.mka", vec![7; 1000], "audio/x-matroska", Tier::Hot)
        .await
        .expect("stored");
    let objects = bucket
        .objects
        .clone()
        .served_at("https://meet.example.org/below/files/");
    let link = async |verb| {
        let valid = Duration::from_secs(60);
        let link = objects
            .presign(
                verb,
                "m/a.mka",
                "a.mka",
                "audio/x-matroska",
                Disposition::Inline,
                valid,
            )
            .await;
        let link = link.expect("signed");
        // As it comes in behind whatever is in front.
        let path = link
            .strip_prefix("https://meet.example.org/below/files")
            .expect("it leads there")
            .to_owned();
        assert!(path.starts_with("/hansard/m/a.mka?"), "{path}");
        path
    };
    let ask = async |method: &str, path: &str, headers: &[(&str, &str)]| {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "meet.example.org");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = bucket
            .gateway()
            .oneshot(request.body(Body::empty()).expect("a request"))
            .await
            .expect("answers");
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20)
            .await
            .expect("it ends");
        (status, body.len())
    };
    let (get, head) = (link(Verb::Get).await, link(Verb::Head).await);
    assert_eq!(ask("GET", &get, &[]).await, (200, 1000));
    // A redirect within one origin takes these along; the storage never sees them.
    let carried = [
        ("authorization", "Bearer hk_x"),
        ("cookie", "hansard_session=x"),
    ];
    assert_eq!(ask("GET", &get, &carried).await, (200, 1000));
    assert_eq!(
        ask("GET", &get, &[("range", "bytes=10-19")]).await,
        (206, 10)
    );
    assert_eq!(ask("HEAD", &head, &carried).await, (200, 0));
    assert_eq!(
        ask("GET", &head, &[]).await.0,
        403,
        "a link is good for its method"
    );
    for path in [
        "/",
        "/hansard",
        "/hansard?list-type=2",
        "/hansard/m/a.mka",
        "/hansard/m/../a.mka",
        "/../credentials.json",
    ] {
        let (status, _) = ask("GET", path, &[]).await;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    for method in ["PUT", "POST", "DELETE", "PATCH"] {
        assert_eq!(ask(method, &get, &[]).await.0, 405);
    }
    assert_eq!(
        bucket.objects.list("", 10).await.expect("it answers").len(),
        1
    );
}
