//! What needs no daemon: the rest of the executor is driven through the real one, in `tests/daemon`.

use super::*;

const WARM: WarmLimits =
    WarmLimits { spares: NonZeroUsize::MIN, spare_age: Duration::from_secs(1), idle: Duration::from_secs(1) };

fn executor() -> Executor {
    Executor::start(
        Limits {
            max_concurrent: NonZeroUsize::MIN,
            queue: Queue { most: 1, per_caller: 1 },
            grace: Duration::ZERO,
            warm: WARM,
        },
        Net::default(),
        crate::pulse::pulse("executor").1,
    )
    .unwrap()
}

fn invocation() -> Invocation {
    Invocation {
        call: "c".to_owned(),
        program: "/bin/true".into(),
        argv: Vec::new(),
        environment: Vec::new(),
        directory: "/".into(),
        stdin: None,
        timeout: None,
        output: OutputLimit { keep: 10, ceiling: 100 },
        spill: None,
        warm: None,
        sandbox: Some(Default::default()),
    }
}

#[tokio::test]
async fn a_stopped_executor_refuses_and_stopping_twice_is_harmless() {
    let executor = executor();
    executor.stop(Instant::now(), std::future::pending()).await;
    let admission =
        Admission { lane: "a".into(), shared: false, slots: NonZeroUsize::MIN, caller: "x".into() };
    let invocation = invocation();
    let cancel = CancellationToken::new();
    let refused = executor.run(admission, invocation.clone(), Arc::default(), &cancel).await;
    assert!(matches!(refused, Err(RunError::Stopping)));
    assert!(matches!(executor.probe(invocation, &cancel).await, Err(RunError::Stopping)));
    executor.stop(Instant::now(), std::future::pending()).await;
}

#[tokio::test]
async fn a_flood_is_read_by_turns_with_everything_else() {
    const LENGTH: usize = 512 << 10;
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    rustix::pipe::fcntl_setpipe_size(&write, LENGTH).unwrap();
    std::io::Write::write_all(&mut std::fs::File::from(write), &vec![b'x'; LENGTH]).unwrap();
    let (invocation, live) = (invocation(), Live::default());
    let mut reader = pipes::Reader::new([Some(read), None], &invocation, &live, false).unwrap();
    reader.listen();
    let mut turns = 0;
    tokio::select! {
        () = async {
            while reader.open() {
                reader.read().await;
            }
        } => {}
        () = async {
            loop {
                turns += 1;
                tokio::task::yield_now().await;
            }
        } => {}
    }
    assert!(turns > LENGTH / (64 << 10), "others had {turns} turns");
    assert_eq!(reader.finish().0.total(), LENGTH as u64);
}
