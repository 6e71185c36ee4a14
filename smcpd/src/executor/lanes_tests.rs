//! Who runs at once, who waits, and whose turn comes.

use super::*;

fn call(lane: &str, shared: bool, slots: usize, caller: &str) -> Admission {
    Admission { lane: lane.into(), shared, slots: NonZeroUsize::new(slots).unwrap(), caller: caller.into() }
}

fn lanes(max_concurrent: usize, most: usize) -> Table {
    Table::new(max_concurrent, Queue { most, per_caller: most })
}

fn running(table: &Table) -> Vec<u64> {
    let mut ids: Vec<u64> =
        table.places.iter().filter(|(_, (_, place))| *place != Place::Waiting).map(|(id, _)| *id).collect();
    ids.sort_unstable();
    ids
}

fn enter(table: &mut Table, admissions: impl IntoIterator<Item = Admission>) -> Vec<u64> {
    for admission in admissions {
        table.enter(admission).unwrap();
        table.admit();
    }
    running(table)
}

#[test]
fn writers_run_alone_readers_overlap_and_nobody_passes_a_waiting_writer() {
    let mut table = lanes(9, 9);
    let lane = |shared| call("p", shared, 1, "a");
    assert_eq!(enter(&mut table, [lane(true), lane(true), lane(false), lane(true)]), [0, 1]);
    table.leave(0);
    table.admit();
    assert_eq!(running(&table), [1]);
    table.leave(1);
    table.admit();
    assert_eq!(running(&table), [2]);
    table.leave(2);
    table.admit();
    assert_eq!(running(&table), [3]);
}

#[test]
fn lanes_do_not_wait_for_each_other_but_share_one_limit() {
    let mut table = lanes(2, 9);
    let calls = ["a", "a", "b", "c", "c"].map(|lane| call(lane, false, 1, "x"));
    assert_eq!(enter(&mut table, calls), [0, 2]);
    table.leave(2);
    table.admit();
    assert_eq!(running(&table), [0, 3]);
    table.leave(3);
    table.admit();
    // Lane a could not run its second call, lane c could.
    assert_eq!(running(&table), [0, 4]);
}

#[test]
fn slots_bound_a_lane_whatever_its_calls_do() {
    let mut table = lanes(9, 9);
    let calls = [true, false, false, true].map(|shared| call("a", shared, 3, "x"));
    assert_eq!(enter(&mut table, calls), [0, 1, 2]);
}

#[test]
fn callers_take_turns() {
    let mut table = lanes(1, 99);
    enter(&mut table, ["x", "x", "x", "x", "y", "z"].map(|caller| call("a", false, 1, caller)));
    let mut order = Vec::new();
    for _ in 0..6 {
        let now = running(&table)[0];
        order.push(now);
        table.leave(now);
        table.admit();
    }
    assert_eq!(order, [0, 1, 4, 5, 2, 3]);
    assert!(table.lanes.is_empty() && table.places.is_empty() && table.wake.is_empty());
}

#[test]
fn a_full_queue_refuses_and_who_gives_up_makes_room() {
    let mut table = lanes(9, 2);
    let one = || call("a", false, 1, "x");
    enter(&mut table, [one(), one(), one()]);
    assert_eq!(table.enter(one()), Err(Refused::Full { waiting: 2 }));
    table.leave(1);
    assert!(table.enter(one()).is_ok());
    let mut closed = lanes(1, 1);
    let runs = closed.enter(one()).unwrap();
    closed.admit();
    let waits = closed.enter(one()).unwrap();
    closed.closed = true;
    assert_eq!(closed.enter(one()), Err(Refused::Closed));
    closed.leave(runs);
    closed.admit();
    assert_eq!(running(&closed), [waits], "who came before has a turn");
}

#[test]
fn one_caller_leaves_room_in_the_queue_for_another() {
    let mut table = Table::new(9, Queue { most: 4, per_caller: 2 });
    let of = |caller| call("a", false, 1, caller);
    enter(&mut table, [of("x"), of("x"), of("x")]);
    assert_eq!(table.enter(of("x")), Err(Refused::CallerFull { waiting: 2 }));
    enter(&mut table, [of("y"), of("z")]);
    assert_eq!(table.enter(of("y")), Err(Refused::Full { waiting: 4 }));
    // Another lane has a queue of its own, and what runs does not wait.
    table.enter(call("b", false, 1, "x")).unwrap();
}

#[tokio::test]
async fn a_dropped_ticket_or_turn_lets_the_next_one_in() {
    let lanes = Arc::new(Lanes::new(NonZeroUsize::MIN, Queue { most: 9, per_caller: 9 }));
    let first = lanes.enter(call("a", false, 1, "x")).unwrap().await;
    let given_up = lanes.enter(call("a", false, 1, "x")).unwrap();
    let third = lanes.enter(call("a", false, 1, "y")).unwrap();
    assert_eq!(lanes.counts(), Counts { running: 1, waiting: 2 });
    drop(given_up);
    drop(first);
    drop(third.await);
    lanes.idle().await;
    assert_eq!(lanes.counts(), Counts::default());
}

#[test]
fn one_who_waits_knows_how_many_come_before() {
    let mut table = lanes(9, 9);
    let callers = ["a", "a", "a", "b", "b", "c"];
    enter(&mut table, callers.map(|caller| call("x", false, 1, caller)));
    let ids: [u64; 6] = std::array::from_fn(|at| at as u64);
    assert_eq!(running(&table), [ids[0]]);
    // They come in the order a, b, c, a, b.
    let ahead: Vec<usize> = ids.iter().map(|id| table.ahead(*id)).collect();
    assert_eq!(ahead, [0, 1, 4, 2, 5, 3]);
    table.leave(ids[0]);
    table.admit();
    let ahead: Vec<usize> = ids.iter().map(|id| table.ahead(*id)).collect();
    assert_eq!(ahead[1], 0);
    assert_eq!(ahead[3], 1);
}
