//! Tenants stay apart when a pooler lends server connections by the transaction.

use crate::support::{pgbouncer::Pgbouncer, postgres};
use hansard::{
    domain::id::{TenantId, UserId},
    store::{self, Store, StoreError, pooler::Pooler, tenant, user},
};
use sqlx::Row;

async fn tenant_with_user(url: &str, name: &str) -> (TenantId, UserId) {
    let mut conn = store::owner(url).await.expect("Postgres answers");
    let tenant = tenant::ensure(&mut conn, name).await.expect("a tenant");
    let user = user::insert(&mut conn, tenant, None, name)
        .await
        .expect("a user");
    (tenant, UserId(user.id))
}

/// 10,000 reads of tenants' own and foreign rows, with workers' transactions between them on the
/// same server connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_reads_another_tenants_rows_through_a_transaction_pooler() {
    let direct = postgres::database().await;
    let (one, other) = (
        tenant_with_user(&direct, "one").await,
        tenant_with_user(&direct, "other").await,
    );
    let pgbouncer = Pgbouncer::start(&direct, 4).await;
    // Two processes.
    let url = pgbouncer.url(&direct);
    let stores = [
        Store::connect(&url, 8)
            .await
            .expect("it is reached through the pooler"),
        Store::connect(&url, 8)
            .await
            .expect("it is reached through the pooler"),
    ];
    assert!(
        stores.iter().all(|store| store.pooler() != Pooler::None),
        "it was seen"
    );
    let tasks = (0..10_usize).map(|n| {
        let store = stores[n % 2].clone();
        tokio::spawn(async move {
            let (mut own, mut foreign, mut all) = (0, 0, 0);
            for turn in 0..1000_usize {
                if turn % 5 == 0 {
                    let mut tx = store.worker_tx().await.expect("Postgres answers");
                    let count: i64 = sqlx::query_scalar("select count(*) from users")
                        .fetch_one(&mut *tx)
                        .await
                        .expect("it answers");
                    tx.commit().await.expect("it answers");
                    all += usize::from(count == 2);
                }
                let ((tenant, mine), (_, theirs)) = if (n + turn) % 3 == 0 {
                    (one, other)
                } else {
                    (other, one)
                };
                let mut tx = store.tenant_tx(tenant).await.expect("Postgres answers");
                own += usize::from(
                    user::get(&mut tx, mine)
                        .await
                        .expect("it answers")
                        .is_some(),
                );
                foreign += usize::from(
                    user::get(&mut tx, theirs)
                        .await
                        .expect("it answers")
                        .is_some(),
                );
                // Whatever a query forgets to say.
                let seen: i64 = sqlx::query_scalar("select count(*) from users")
                    .fetch_one(&mut *tx)
                    .await
                    .expect("it answers");
                foreign += usize::from(seen != 1);
                if turn % 2 == 0 {
                    tx.commit().await.expect("it answers");
                }
            }
            (own, foreign, all)
        })
    });
    let mut sum = (0, 0, 0);
    for task in tasks.collect::<Vec<_>>() {
        let (own, foreign, all) = task.await.expect("it does not panic");
        sum = (sum.0 + own, sum.1 + foreign, sum.2 + all);
    }
    assert_eq!(sum, (10_000, 0, 2000));
    for store in stores {
        store.close().await;
    }
}

#[tokio::test]
async fn a_pooler_that_mixes_prepared_statements_up_is_named_to_operators() {
    let direct = postgres::database().await;
    let pgbouncer = Pgbouncer::start(&direct, 2).await;
    match store::owner(&pgbouncer.url(&direct)).await {
        Err(error @ StoreError::Pooler) => assert!(
            error.to_string().contains("max_prepared_statements"),
            "{error}"
        ),
        // Newer ones keep them apart.
        Ok(_) => {
            assert_eq!(
                Store::connect(&pgbouncer.url(&direct), 2)
                    .await
                    .expect("it answers")
                    .pooler(),
                Pooler::Prepares
            )
        }
        Err(other) => panic!("{other}"),
    }
    assert_eq!(
        Store::connect(&direct, 2)
            .await
            .expect("it answers")
            .pooler(),
        Pooler::None
    );
}

/// A role or a tenant that stayed on the session would be whoever's comes next.
#[tokio::test]
async fn a_transaction_leaves_neither_role_nor_tenant_behind() {
    let url = postgres::database().await;
    let (tenant, _) = tenant_with_user(&url, "one").await;
    let store = Store::open(&url, 1).expect("the URL is good");
    let who = "select current_user::text, coalesce(current_setting('app.tenant', true), ''), session_user::text";
    let mut tx = store.tenant_tx(tenant).await.expect("Postgres answers");
    let row = sqlx::query(who)
        .fetch_one(&mut *tx)
        .await
        .expect("it answers");
    assert_eq!(row.get::<String, _>(0), "hansard_app");
    assert_eq!(row.get::<String, _>(1), tenant.to_string());
    sqlx::raw_sql("commit")
        .execute(&mut *tx)
        .await
        .expect("it answers");
    let row = sqlx::query(who)
        .fetch_one(&mut *tx)
        .await
        .expect("it answers");
    assert_eq!(row.get::<String, _>(0), row.get::<String, _>(2));
    assert_eq!(row.get::<String, _>(1), "");
}

/// The last line of defence: with a tenant named, not even the workers' role sees another's rows.
#[tokio::test]
async fn a_named_tenant_binds_every_role() {
    let url = postgres::database().await;
    let (one, other) = (
        tenant_with_user(&url, "one").await,
        tenant_with_user(&url, "other").await,
    );
    let store = Store::open(&url, 1).expect("the URL is good");
    let mut tx = store.worker_tx().await.expect("Postgres answers");
    store::enter(&mut tx, one.0).await.expect("it answers");
    assert!(
        user::get(&mut tx, one.1)
            .await
            .expect("it answers")
            .is_some()
    );
    assert!(
        user::get(&mut tx, other.1)
            .await
            .expect("it answers")
            .is_none()
    );
    let open: Vec<String> = sqlx::query_scalar(
        "select tablename::text from pg_policies p where policyname = 'everyone' and not exists (
             select from pg_policies n where n.tablename = p.tablename and n.policyname = 'named'
                                         and n.permissive = 'RESTRICTIVE')",
    )
    .fetch_all(&mut *tx)
    .await
    .expect("it answers");
    assert!(open.is_empty(), "without the policy `named`: {open:?}");
}

/// A crowd of one tenant, each waiting for a lock, leaves connections to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenants_crowd_leaves_connections_to_others() {
    let url = postgres::database().await;
    let (one, other) = (
        tenant_with_user(&url, "one").await,
        tenant_with_user(&url, "other").await,
    );
    let store = Store::open(&url, 6).expect("the URL is good");
    let mut holding = store.worker_tx().await.expect("Postgres answers");
    sqlx::query("select 1 from users where id = $1 for update")
        .bind(one.1.0)
        .execute(&mut *holding)
        .await
        .expect("held");
    let crowd: Vec<_> = (0..60)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut tx = store.tenant_tx(one.0).await?;
                sqlx::query("select 1 from users where id = $1 for update")
                    .bind(one.1.0)
                    .execute(&mut *tx)
                    .await?;
                tx.commit().await?;
                Ok::<_, StoreError>(())
            })
        })
        .collect();
    for _ in 0..20 {
        let mut tx = store
            .tenant_tx(other.0)
            .await
            .expect("there is one left for it");
        assert!(
            user::get(&mut tx, other.1)
                .await
                .expect("it answers")
                .is_some()
        );
        tx.commit().await.expect("it answers");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    holding.rollback().await.expect("it answers");
    for task in crowd {
        // In time, or told to come again.
        let outcome = task.await.expect("it does not panic");
        assert!(
            outcome
                .as_ref()
                .map_or_else(StoreError::is_unavailable, |()| true),
            "{outcome:?}"
        );
    }
}
