//! The laboratory's lookups once more, in plain user space and in ordinary Rust that shares no code with it: a cross-check of what the kernel's
//! programs measure. `cargo bench -p hvsock-top --bench lookup`
//!
//! Sockets are 1,280 bytes apart in random places of one vector, and a link is a place in it. Each lookup begins when the one before has ended:
//! its key is drawn from a sequence whose next place depends on what was found.

use std::{collections::HashMap, hint::black_box};

use criterion::{Criterion, criterion_group, criterion_main};

/// No socket.
const NIL: u32 = u32::MAX;
/// Buckets of vsock's table.
const BUCKETS: u32 = 251;
/// Sockets in all: the places among which those that are there are scattered.
const PLACES: usize = 16_384;

/// Random numbers: xorshift64 (Marsaglia, 2003).
struct Random(u64);

impl Random {
    fn word(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, (self.word() % (i as u64 + 1)) as usize);
        }
    }
}

/// A socket: what it is found by, and its links, a cache line apart as in the kernel.
#[derive(Clone)]
#[repr(C, align(64))]
struct Socket {
    guid: [u64; 2],
    after_bound: u32,
    _more: [u64; 20],
    port: u32,
    after_bucket: u32,
    /// Zero, in a line that the lookup has read.
    nil: u32,
    _rest: [u64; 135],
}

const EMPTY: Socket = Socket {
    guid: [0; 2],
    after_bound: NIL,
    _more: [0; 20],
    port: 0,
    after_bucket: NIL,
    nil: 0,
    _rest: [0; 135],
};

/// All of them, in all structures.
struct World {
    places: Vec<Socket>,
    bound: u32,
    buckets: Vec<u32>,
    /// As many as the sockets need, so that it need not grow any more.
    map: HashMap<u32, u32>,
    pointers: Vec<u32>,
    ports: Vec<u32>,
}

impl World {
    fn new(count: u32) -> Self {
        const { assert!(size_of::<Socket>() == 1280) };
        let mut random = Random(2016);
        let mut at: Vec<u32> = (0..PLACES as u32).collect();
        random.shuffle(&mut at);
        let mut world = Self {
            places: vec![EMPTY; PLACES],
            bound: NIL,
            buckets: vec![NIL; BUCKETS as usize],
            map: HashMap::new(),
            pointers: Vec::new(),
            ports: Vec::new(),
        };
        while world.ports.len() < count as usize {
            let port = (random.word() >> 32) as u32;
            let place = at[world.ports.len()];
            if world.map.insert(port, place).is_some() {
                continue;
            }
            let bucket = &mut world.buckets[(port % BUCKETS) as usize];
            world.places[place as usize] = Socket {
                guid: [u64::from(port), 7],
                after_bound: world.bound,
                port,
                after_bucket: *bucket,
                ..EMPTY
            };
            (world.bound, *bucket) = (place, place);
            world.pointers.push(place);
            world.ports.push(port);
        }
        world
    }

    /// What the loop costs that asks: to be taken from the others.
    fn nothing(&self, _which: usize) -> (u64, u32) {
        (0, self.pointers[0])
    }

    /// How many sockets were looked at, and where it was.
    fn list(&self, which: usize) -> (u64, u32) {
        let guid = [u64::from(self.ports[which]), 7];
        self.walk(self.bound, |socket| socket.guid == guid, |socket| socket.after_bound)
    }

    fn hash_251(&self, which: usize) -> (u64, u32) {
        let port = self.ports[which];
        let first = self.buckets[(port % BUCKETS) as usize];
        self.walk(first, |socket| socket.port == port, |socket| socket.after_bucket)
    }

    fn hash_growing(&self, which: usize) -> (u64, u32) {
        let place = self.map[&self.ports[which]];
        (1, place + u32::from(self.places[place as usize].port != self.ports[which]))
    }

    fn pointer(&self, which: usize) -> (u64, u32) {
        let place = self.pointers[which];
        (1, place + u32::from(self.places[place as usize].port != self.ports[which]))
    }

    #[inline(always)]
    fn walk(
        &self,
        mut at: u32,
        is_it: impl Fn(&Socket) -> bool,
        next: impl Fn(&Socket) -> u32,
    ) -> (u64, u32) {
        let mut visited = 0;
        while let Some(socket) = self.places.get(at as usize) {
            visited += 1;
            if is_it(socket) {
                return (visited, at);
            }
            at = next(socket);
        }
        (visited, NIL)
    }
}

type Lookup = fn(&World, usize) -> (u64, u32);

fn lookups(criterion: &mut Criterion) {
    for count in [16, 256, 1024, 2048] {
        let world = World::new(count);
        let mut which: Vec<usize> = (0..count as usize).collect();
        Random(1).shuffle(&mut which);
        for (name, lookup) in [
            ("nothing", World::nothing as Lookup),
            ("list", World::list),
            ("hash 251", World::hash_251),
            ("growing hash", World::hash_growing),
            ("pointer", World::pointer),
        ] {
            let all: u64 = which.iter().map(|w| lookup(&world, *w).0).sum();
            let mean = all as f64 / f64::from(count);
            if name == "list" {
                assert!(
                    (mean - f64::from(count + 1) / 2.0).abs() < 1e-9,
                    "a list's mean is half of it: {mean}"
                );
            }
            let right = |w: &usize| lookup(&world, *w).1 == world.pointers[*w];
            assert!(name == "nothing" || which.iter().all(right), "{name} finds another");
            let mut at = 0_usize;
            criterion.bench_function(&format!("{name}/{count}"), |bencher| {
                bencher.iter(|| {
                    let (_, place) = lookup(&world, black_box(which[at]));
                    // A zero, which the processor knows when the lookup has ended.
                    let nil = world.places[place as usize].nil as usize;
                    at = (at + 1 + nil) % which.len();
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = lookups
}
criterion_main!(benches);
