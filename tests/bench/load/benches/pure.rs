//! The parts of smcpd that need no process: `cargo bench -p smcp-bench --features pure`.

#![expect(clippy::disallowed_methods, reason = "a benchmark has nobody else to hold up")]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::json;
use smcpd::bench::{Contract, answered, help, output};

fn root() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(3).expect("the crate lies three directories deep")
}

/// What the shipped plugin says of itself.
fn contract() -> String {
    let program = root().join("plugins/demo_text/cli.py");
    let said = Command::new("python3").arg(program).arg("--describe").output().expect("python3 starts");
    String::from_utf8(said.stdout).expect("a contract is text")
}

fn messages(criterion: &mut Criterion) {
    let ping = br#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#;
    let long = "word ".repeat(4_000);
    let call = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {
        "name": "demo_text__echo", "arguments": {"message": long},
    }})
    .to_string();
    assert_eq!(answered(ping), r#"{"jsonrpc":"2.0","id":7,"result":{}}"#.len());
    assert_eq!(answered(call.as_bytes()), answered(ping));
    criterion.bench_function("answer a ping", |bench| bench.iter(|| answered(black_box(ping))));
    criterion
        .bench_function("read a call of 20 kB", |bench| bench.iter(|| answered(black_box(call.as_bytes()))));
}

fn commands(criterion: &mut Criterion) {
    let text = contract();
    let contract = Contract::read(&text).expect("it is a contract");
    let arguments = json!({"message": "hello", "prefix": "> "});
    assert_eq!(contract.argv("echo", &arguments), Ok(3));
    assert!(contract.listed() > 500, "{}", contract.listed());
    criterion.bench_function("read a contract", |bench| bench.iter(|| Contract::read(black_box(&text))));
    criterion.bench_function("build an argv", |bench| {
        bench.iter(|| contract.argv("echo", black_box(&arguments)));
    });
    criterion.bench_function("list four tools", |bench| bench.iter(|| black_box(&contract).listed()));
}

fn outputs(criterion: &mut Criterion) {
    let object = json!({"message": "hello", "parts": ["one", "two"]}).to_string();
    let log = format!("{}{object}\n", "[info] a line of what goes on\n".repeat(2_000));
    assert_eq!((output(object.as_bytes()), output(log.as_bytes()), output(b"text")), (2, 2, 1));
    criterion.bench_function("read an object", |bench| bench.iter(|| output(black_box(object.as_bytes()))));
    criterion.bench_function("read an object behind a log of 60 kB", |bench| {
        bench.iter(|| output(black_box(log.as_bytes())));
    });
}

fn helps(criterion: &mut Criterion) {
    let path = root().join("tests/fixtures/help/py3.14/groups.txt");
    let text = fs::read_to_string(path).expect("the fixture is there");
    assert!(help(&text) > 1, "{}", help(&text));
    criterion.bench_function("read a help text", |bench| bench.iter(|| help(black_box(&text))));
}

criterion_group!(pure, messages, commands, outputs, helps);
criterion_main!(pure);
