//! Moving objects between classes: in parts, where versions are kept, and on stores that lack
//! things.

use super::*;
use crate::support::Scratch;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use hansard::{domain::tiering::Classes, embed::s3::Options};

const KEY: &str = "m/track.webm";
/// Three parts of the smallest size, the last of them short.
const SIZE: usize = (5 << 20) * 2 + 1_000;

fn content() -> Vec<u8> {
    (0..SIZE).map(|n| (n % 251) as u8).collect()
}

/// As it is copied in parts.
fn in_parts(bucket: &Bucket) -> Objects {
    bucket
        .objects
        .clone()
        .with_classes(Classes::default(), 5 << 20)
}

#[tokio::test]
async fn a_large_object_is_copied_in_parts_and_each_is_checked() {
    let bucket = Bucket::start().await;
    let objects = in_parts(&bucket);
    let stored = objects
        .put_bytes(KEY, content(), "audio/webm", Tier::Hot)
        .await
        .expect("stored");
    let wanted = Wanted {
        size_bytes: stored.size_bytes,
        sha256: &stored.sha256,
        sum: None,
    };
    assert_eq!(
        bucket.objects.pieces(KEY, wanted).await.expect("reads"),
        None
    );
    let pieces = objects.pieces(KEY, wanted).await.expect("it is as it was");
    let pieces = pieces.expect("it is too large for one piece");
    assert!(pieces.sum.ends_with("-3"), "{}", pieces.sum);
    let known = Wanted {
        sum: Some(&pieces.sum),
        ..wanted
    };
    let class = Tier::Archive.class();
    objects
        .transfer(KEY, class, known, Some(&pieces))
        .await
        .expect("copied in place");
    let head = objects.head(KEY).await.expect("answers").expect("there");
    assert_eq!(
        (head.class.as_str(), head.size_bytes, head.sha256.as_deref()),
        (class, SIZE as u64, Some(stored.sha256.as_str()))
    );
    assert_eq!(head.content_type.as_deref(), Some("audio/webm"));
    // Another run finds it there, and knows it by what was noted before.
    objects
        .transfer(KEY, class, known, None)
        .await
        .expect("it is there");
    assert!(matches!(
        objects.transfer(KEY, class, wanted, None).await,
        Err(ObjectError::Refused(_))
    ));
    objects
        .restore(KEY, 1, RestoreSpeed::Standard)
        .await
        .expect("it can be restored");
    assert_eq!(objects.get_bytes(KEY).await.expect("readable"), content());
    // What changed under its key is not moved on.
    let other = objects
        .put_bytes(KEY, vec![1; SIZE], "audio/webm", Tier::Hot)
        .await
        .expect("stored");
    assert_ne!(other.sha256, stored.sha256);
    assert!(matches!(
        objects.pieces(KEY, wanted).await,
        Err(ObjectError::Differs { .. })
    ));
    let moved = objects
        .transfer(KEY, Tier::Warm.class(), wanted, None)
        .await;
    assert!(
        matches!(moved, Err(ObjectError::Differs { .. })),
        "{moved:?}"
    );
}

#[tokio::test]
async fn earlier_versions_go_by_their_ids() {
    let bucket = Bucket::start_with(Scratch::new(), Options::default()).await;
    let client = bucket.client();
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    let put = client.put_bucket_versioning().bucket("hansard");
    let put = put.versioning_configuration(enabled).send().await;
    put.expect("it keeps versions");
    let objects = &bucket.objects;
    let stored = objects
        .put_bytes(KEY, b"sound".to_vec(), "audio/webm", Tier::Hot)
        .await
        .expect("stored");
    // Its neighbour's key begins alike.
    for _ in 0..2 {
        objects
            .put_bytes("m/track.webm2", b"other".to_vec(), "audio/webm", Tier::Hot)
            .await
            .expect("stored");
    }
    let wanted = Wanted {
        size_bytes: 5,
        sha256: &stored.sha256,
        sum: None,
    };
    let version = objects
        .transfer(KEY, Tier::Warm.class(), wanted, None)
        .await
        .expect("copied in place");
    assert!(
        version.is_some() && version != stored.version,
        "{version:?}"
    );
    assert_eq!(objects.delete_noncurrent(KEY).await.expect("deletes"), 1);
    assert_eq!(objects.delete_noncurrent(KEY).await.expect("deletes"), 0);
    let listed = client.list_object_versions().bucket("hansard").send().await;
    let listed = listed.expect("it answers");
    let left: Vec<_> = listed
        .versions()
        .iter()
        .filter_map(|one| one.key())
        .collect();
    assert_eq!(left, [KEY, "m/track.webm2", "m/track.webm2"]);
    assert_eq!(objects.get_bytes(KEY).await.expect("readable"), b"sound");
}

/// A store without checksums is read again; one without the class is not waited for.
#[tokio::test]
async fn stores_that_lack_something_are_told_apart() {
    let bucket = Bucket::start().await;
    let faults = Faults::before(&bucket).await;
    let behind = |checksums| {
        Objects::new(&StorageConfig {
            endpoint: faults.endpoint.clone(),
            dialect: Dialect {
                checksums,
                ..Dialect::default()
            },
            ..bucket.settings.clone()
        })
    };
    let plain = behind(false);
    let stored = plain
        .put_bytes(KEY, b"sound".to_vec(), "audio/webm", Tier::Hot)
        .await
        .expect("stored");
    let wanted = Wanted {
        size_bytes: 5,
        sha256: &stored.sha256,
        sum: None,
    };
    plain
        .transfer(KEY, Tier::Warm.class(), wanted, None)
        .await
        .expect("copied in place, and read again");
    for (status, code) in [(400, "InvalidStorageClass"), (501, "NotImplemented")] {
        faults.set(&[Rule::all(Wrong::Answer(status, code)).with_header("x-amz-storage-class")]);
        let moved = behind(true)
            .transfer(KEY, Tier::Cold.class(), wanted, None)
            .await
            .expect_err("it has no such class");
        assert!(matches!(moved, ObjectError::NoClass { .. }), "{moved}");
        assert_eq!(moved.fault(), Fault::Ours);
    }
    faults.set(&[Rule::all(Wrong::Answer(503, "SlowDown")).with_header("x-amz-storage-class")]);
    let moved = behind(true)
        .transfer(KEY, Tier::Cold.class(), wanted, None)
        .await
        .expect_err("it is away");
    assert_eq!(moved.fault(), Fault::Away(Away::Storage));
}
