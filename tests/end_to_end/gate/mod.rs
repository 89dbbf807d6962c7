//! The gate, end to end: a real `hansard serve`, real RTP, and the recorded *files* analysed. Who
//! agreed is heard; who did not, or no longer, is nowhere: not in a file, an object, the spool, a
//! row, a caption.
//!
//! What somebody sends tells its own time (a tone that climbs a step every 100 ms), so a file says
//! what was captured when, whatever the server's clock thinks.

mod away;
mod crowd;
mod policy;
mod withdrawal;

use crate::{
    room, sound,
    support::{self, Scratch},
};

/// Everything that needs nothing taken away, in concurrent meetings on one server.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_kept_who_has_not_agreed() {
    let data = Scratch::new();
    let server = room::serve(data.path(), &[]);
    let client = server.client();
    tokio::join!(
        crowd::exclude(&client, data.path()),
        crowd::uses_turned_off(&client),
        withdrawal::by_rest(&client, data.path()),
        withdrawal::by_socket(&client, data.path()),
        withdrawal::in_mid_sentence(&client, data.path()),
        policy::all(&client, data.path()),
        policy::required(&client, data.path()),
    );
    server.terminate();
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawals_act_without_postgres() {
    away::postgres().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawals_act_without_the_queue() {
    away::queue().await;
}
