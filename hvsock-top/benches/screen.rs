//! What a frame costs with as many connections as there can be, and what taking a Snapshot of them costs. `cargo bench -p hvsock-top --bench screen`

use std::{hint::black_box, path::Path, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use crossterm::event::{KeyCode, KeyEvent};
use hvsock_top::{
    model::{Snapshot, Source as _},
    record::Replay,
    tui::{App, Config, Palette, Theme, Update, draw},
};
use ratatui::{buffer::Buffer, layout::Rect};

/// The last Snapshot of the recording, with 2,048 connections made of its own.
fn crowded(second: u64) -> Snapshot {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/demo.hvrec");
    let mut replay = Replay::open(&path).expect("the recording is there");
    let mut last = None;
    while let Some(snapshot) = replay.snapshot().expect("the recording is whole") {
        last = Some(snapshot);
    }
    let mut snapshot = last.expect("the recording has Snapshots");
    let models = snapshot.connections.clone();
    snapshot.uptime_ns += second * 1_000_000_000;
    snapshot.connections = (0..2048_u32)
        .map(|relid| {
            let mut connection = models[relid as usize % models.len()].clone();
            connection.id = format!("{relid}-1");
            connection.relid = relid;
            connection.tx.bytes = Some(second * u64::from(relid * 7919 % 10_007));
            connection
        })
        .collect();
    snapshot
}

fn app() -> App {
    let theme = Theme { palette: Palette::Dark, ascii: false };
    let mut app = App::new(&Config::default(), theme, Duration::from_secs(1));
    for second in 0..4 {
        app.take(Update::Snapshot(Box::new(crowded(second))));
    }
    app
}

fn frames(criterion: &mut Criterion) {
    let mut app = app();
    let area = Rect::new(0, 0, 200, 60);
    for (key, name) in [('1', "overview"), ('2', "connections"), ('3', "detail"), ('9', "events")] {
        app.key(KeyEvent::from(KeyCode::Char(key)));
        criterion.bench_function(&format!("frame/{name}/2048"), |bencher| {
            let mut buffer = Buffer::empty(area);
            bencher.iter(|| {
                buffer.reset();
                draw(black_box(&app), area, &mut buffer);
            });
        });
    }
    for c in "2/port:5000 and not comm~^x or stalls>1".chars() {
        app.key(KeyEvent::from(KeyCode::Char(c)));
    }
    criterion.bench_function("frame/connections filtered/2048", |bencher| {
        let mut buffer = Buffer::empty(area);
        bencher.iter(|| draw(black_box(&app), area, &mut buffer));
    });
}

fn taking(criterion: &mut Criterion) {
    let mut app = app();
    let mut second = 10;
    criterion.bench_function("take a Snapshot/2048", |bencher| {
        bencher.iter_batched(
            || {
                second += 1;
                Box::new(crowded(second))
            },
            |snapshot| app.take(Update::Snapshot(snapshot)),
            BatchSize::PerIteration,
        );
    });
}

criterion_group! {
    name = screen;
    config = Criterion::default().sample_size(20).measurement_time(Duration::from_secs(3));
    targets = frames, taking
}
criterion_main!(screen);
