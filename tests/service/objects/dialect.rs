//! Stores that are not like the others: without checksums, with another addressing, refusing,
//! misbehaving.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_checksums_is_found_out_and_used() {
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    faults.set(&[Rule::all(Wrong::Answer(501, "NotImplemented")).with_header("x-amz-checksum")]);
    let settings = StorageConfig {
        endpoint: faults.endpoint.clone(),
        ..bucket.settings.clone()
    };
    let error = Objects::new(&settings)
        .put_bytes("m/a.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
        .await
        .expect_err("it refuses");
    assert_eq!(error.fault(), Fault::Away(Away::Storage), "{error}");
    let diagnosis = diagnose(&settings).await;
    assert_eq!(diagnosis, Diagnosis::NoChecksums);
    assert!(
        diagnosis
            .mend()
            .expect("it can be mended")
            .contains("S3_CHECKSUMS=off")
    );

    let settings = StorageConfig {
        dialect: Dialect {
            checksums: false,
            ..Dialect::default()
        },
        ..settings
    };
    assert_eq!(diagnose(&settings).await, Diagnosis::Well);
    let objects = Objects::new(&settings);
    let stored = objects
        .put_bytes("m/a.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
        .await
        .expect("stored");
    assert_eq!(stored.size_bytes, 5);
    assert_eq!(
        objects.get_bytes("m/a.txt").await.expect("it is there"),
        b"hello"
    );
    assert_eq!(
        objects.list("probe/", 10).await.expect("it answers"),
        [],
        "nothing is left behind"
    );
}

/// Storage that comes back while it is looked into is well: what else was tried has nothing to do
/// with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_comes_back_needs_no_other_setting() {
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    faults.set(&[Rule::all(Wrong::Answer(403, "AccessDenied")).times(1)]);
    let settings = StorageConfig {
        endpoint: faults.endpoint.clone(),
        ..bucket.settings.clone()
    };
    assert_eq!(diagnose(&settings).await, Diagnosis::Well);
    assert_eq!(faults.seen()[0].status, 403, "it was away at first");
}

#[tokio::test]
async fn the_bucket_stands_where_the_store_wants_it() {
    let bucket = Bucket::start().await;
    let link = async |path_style| {
        let dialect = Dialect {
            path_style,
            ..Dialect::default()
        };
        let public_endpoint = "https://s3.example.org".to_owned();
        let objects = Objects::new(&StorageConfig {
            dialect,
            public_endpoint,
            ..bucket.settings.clone()
        });
        let valid = Duration::from_secs(60);
        objects
            .presign(
                Verb::Get,
                "m/a.txt",
                "a.txt",
                "text/plain",
                Disposition::Inline,
                valid,
            )
            .await
            .expect("signed")
    };
    assert!(
        link(true)
            .await
            .starts_with("https://s3.example.org/hansard/m/a.txt?")
    );
    assert!(
        link(false)
            .await
            .starts_with("https://hansard.s3.example.org/m/a.txt?")
    );
}

/// Whatever a store answers, only what is missing or wrong in itself is the object's own fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_refuses_is_away() {
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    let objects = Objects::new(&StorageConfig {
        endpoint: faults.endpoint.clone(),
        ..bucket.settings.clone()
    });
    objects
        .put_bytes("m/a.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
        .await
        .expect("stored");
    for (status, code) in [
        (400, "InvalidRequest"),
        (403, "RequestTimeTooSkewed"),
        (403, "SignatureDoesNotMatch"),
        (404, "NoSuchBucket"),
        (500, "InternalError"),
        (501, "NotImplemented"),
        (503, "SlowDown"),
    ] {
        faults.set(&[Rule::all(Wrong::Answer(status, code))]);
        let put = objects
            .put_bytes("m/b.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
            .await;
        let got = objects.get_bytes("m/a.txt").await;
        for error in [put.expect_err("it refuses"), got.expect_err("it refuses")] {
            assert_eq!(error.fault(), Fault::Away(Away::Storage), "{code}: {error}");
        }
        assert!(objects.probe().await.is_err(), "{code}");
    }
    // Also a missing key is the bucket's fault when it is to be written.
    faults.set(&[Rule::all(Wrong::Answer(404, "NoSuchKey"))]);
    let put = objects
        .put_bytes("m/b.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
        .await
        .expect_err("it refuses");
    assert_eq!(put.fault(), Fault::Away(Away::Storage), "{put}");
    faults.heal();
    assert_eq!(
        objects
            .get_bytes("m/nothing")
            .await
            .expect_err("it is not there")
            .fault(),
        Fault::Theirs
    );
    objects.probe().await.expect("it works");
}

/// The layer that other tests put in front of the storage: it changes nothing unless it is told to,
/// and then just that.
#[tokio::test]
async fn a_misbehaving_storage_can_be_made() {
    use axum::http::Method;
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    let objects = Objects::new(&StorageConfig {
        endpoint: faults.endpoint.clone(),
        ..bucket.settings.clone()
    });
    let put = async |objects: &Objects| {
        objects
            .put_bytes("m/a.txt", b"hello".to_vec(), "text/plain", Tier::Hot)
            .await
    };
    put(&objects).await.expect("through");
    assert_eq!(
        objects.get_bytes("m/a.txt").await.expect("through"),
        b"hello"
    );
    faults.set(&[Rule::on(Wrong::Answer(403, "AccessDenied"), &[Method::PUT])]);
    put(&objects).await.expect_err("refused");
    assert_eq!(
        objects.get_bytes("m/a.txt").await.expect("reading works"),
        b"hello"
    );
    faults.set(&[Rule::all(Wrong::Swallow).at("/m/a")]);
    assert!(
        tokio::time::timeout(Duration::from_millis(500), put(&objects))
            .await
            .is_err(),
        "it waits"
    );
    faults.refuse();
    put(&objects).await.expect_err("nobody listens");
    faults.heal();
    faults.delay(Duration::from_millis(100));
    let begun = std::time::Instant::now();
    put(&objects).await.expect("through again");
    assert!(
        begun.elapsed() >= Duration::from_millis(200),
        "put and verified by HEAD: {:?}",
        begun.elapsed()
    );
    assert!(
        faults
            .seen()
            .iter()
            .any(|seen| (seen.method.as_str(), seen.status) == ("PUT", 403))
    );
    assert!(faults.most_at_once() >= 1);
}
