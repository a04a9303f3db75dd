//! What there is to know of a device before it is trusted with a sweep, as one JSON object: `scripts/gpu-check.sh`.
//!
//! Correctness against flex on the model in the repository and on the checkpoints of the tests, rates of products and reductions, and a
//! sweep of a model of SmolLM2's shape with random weights, cold and warm, with its kernel launches counted. `STRATIGRAPH_DEVICE=wgpu`
//! names the device, `STRATIGRAPH_SHORT=1` makes everything small, and the program takes the path of the JSON file.

use std::path::{Path, PathBuf};
use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use serde_json::{Value, json};
use stratigraph::prelude::*;
use stratigraph::probes::scores::Scores;
use stratigraph::study::{DeviceInfo, DeviceName, DeviceWork, SelfCheck};
use stratigraph_benches::{config_of_width, random_windows, variable};

fn main() {
    let name: DeviceName =
        variable("STRATIGRAPH_DEVICE").unwrap_or_else(|| "wgpu".to_owned()).parse().expect("a device");
    let device = match name.open() {
        Ok(device) => device,
        Err(reason) => return println!("skipped: {reason}"),
    };
    let sizes = if variable("STRATIGRAPH_SHORT").is_some() || !is_asked() { Sizes::SHORT } else { Sizes::FULL };
    let part = |name: &str, value: Value| {
        eprintln!("{name}: {value}");
        value
    };
    let report = json!({
        "device": part("device", json!({"name": name.to_string(), "info": DeviceInfo::of(&name, &device)})),
        "self_check": part("self-check", self_check(&device)),
        "correctness": part("correctness", correctness(&device, &sizes)),
        "products_gflops": part("products, GFLOP/s", products(&device, &sizes)),
        "readout": part("readout", readout(&device, &sizes)),
        "sweep": part("sweep", sweep(&device, &sizes)),
    });
    let text = serde_json::to_string_pretty(&report).expect("it is plain data");
    match output() {
        Some(path) => std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        None => println!("{text}"),
    }
}

/// How much is run.
struct Sizes {
    squares: &'static [usize],
    rows: usize,
    layers: usize,
    windows: usize,
    fixtures: Option<&'static [&'static str]>,
}

impl Sizes {
    const FULL: Self =
        Self { squares: &[512, 1024, 2048, 4096, 8192], rows: 8192, layers: 30, windows: 8, fixtures: None };
    const SHORT: Self = Self { squares: &[128], rows: 128, layers: 2, windows: 1, fixtures: Some(&["llama-gqa"]) };
}

/// The path that is given; Cargo's own arguments begin with dashes.
fn output() -> Option<PathBuf> {
    std::env::args().skip(1).find(|argument| !argument.starts_with("--")).map(PathBuf::from)
}

/// Whether somebody wants the numbers, and not Cargo a test.
fn is_asked() -> bool {
    output().is_some() || stratigraph_benches::is_benchmark()
}

/// Where the repository lies on this machine, which may not be the one that built the program.
fn root() -> PathBuf {
    if Path::new("models/tiny").is_dir() { PathBuf::from(".") } else { stratigraph_benches::root().to_owned() }
}

fn flex() -> Device {
    Backend::Flex.device().expect("flex is built in")
}

fn self_check(device: &Device) -> Value {
    let model = |device: &Device| config_of_width(128).init(25, device).expect("it is sound");
    match SelfCheck::run(&model(device), &model(&flex())) {
        Ok(check) => json!(check),
        Err(error) => json!({"fault": error.to_string()}),
    }
}

/// The largest differences from flex: of the curves of a study of the trained model, and of the logits of each checkpoint.
fn correctness(device: &Device, sizes: &Sizes) -> Value {
    let curves = |device: &Device| {
        let checkpoint = Checkpoint::open(root().join("models/tiny")).expect("the model is committed");
        let model = checkpoint.load(device).expect("it is whole");
        let windows = random_windows(model.config(), sizes.windows, 32);
        let study = Study::new(&model).add(Sweep::delete()).add(Sweep::swap()).add(Sweep::lens());
        let findings = study.run(&windows).expect("it runs");
        ["delete_kl", "swap_kl", "lens_kl"].map(|name| findings.curve(name).expect("it is measured").mean.clone())
    };
    let (found, expected) = (curves(device).concat(), curves(&flex()).concat());
    let trained = difference(&found, &expected);
    let mut fixtures: Vec<_> = std::fs::read_dir(root().join("tests/fixtures")).map_or_else(
        |_| Vec::new(),
        |entries| {
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.join("model.safetensors").is_file())
                .collect()
        },
    );
    fixtures.sort();
    let is_chosen = |path: &PathBuf| {
        sizes.fixtures.is_none_or(|chosen| chosen.iter().any(|name| path.file_name().is_some_and(|file| file == *name)))
    };
    let of_fixture = |path: &PathBuf| {
        let checkpoint = Checkpoint::open(path).ok()?;
        let [found, expected] = [device, &flex()].map(|device| logits(&checkpoint, device));
        Some((path.file_name()?.to_string_lossy().into_owned(), json!(difference(&found, &expected))))
    };
    let logits: serde_json::Map<_, _> = fixtures.iter().filter(|path| is_chosen(path)).filter_map(of_fixture).collect();
    json!({"tiny_kl": trained, "logits": logits})
}

fn logits(checkpoint: &Checkpoint, device: &Device) -> Vec<f64> {
    let model = checkpoint.load(device).expect("it is whole");
    let windows = random_windows(model.config(), 2, 7);
    let resid = model.forward(windows.batch(0..2, device), &mut NoTap).expect("it runs");
    let rows = model.final_norm(resid.reshape([14, model.d_model()])).expect("it runs");
    let logits = model.unembed(rows, 0..model.d_vocab()).expect("it runs");
    logits.try_into_vec_as::<f32>().expect("any float").into_iter().map(f64::from).collect()
}

/// The largest difference, as a part of the largest number.
fn difference(found: &[f64], expected: &[f64]) -> f64 {
    let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
    found.iter().zip(expected).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / largest
}

/// Seconds of the shortest of three runs, after one in which kernels are compiled and chosen.
fn shortest<T>(device: &Device, run: impl Fn() -> T) -> f64 {
    let time = |_| {
        device.sync().expect("the device works");
        let started = Instant::now();
        let result = std::hint::black_box(run());
        device.sync().expect("the device works");
        drop(result);
        started.elapsed().as_secs_f64()
    };
    time(0);
    (0..3).map(time).fold(f64::INFINITY, f64::min)
}

/// Square products, and a linear map of SmolLM2 as one product of all rows and as one for each window.
fn products(device: &Device, sizes: &Sizes) -> Value {
    let random =
        |rows: usize, columns: usize| Tensor::<2>::random([rows, columns], Distribution::Normal(0.0, 1.0), device);
    let gflops = |operations: f64, seconds: f64| operations / seconds / 1e9;
    let square = |&side: &usize| {
        let (a, b) = (random(side, side), random(side, side));
        let seconds = shortest(device, || a.clone().matmul(b.clone()));
        (side.to_string(), json!(gflops(2.0 * (side as f64).powi(3), seconds)))
    };
    let mut rates: serde_json::Map<_, _> = sizes.squares.iter().map(square).collect();
    let (rows, map) = (random(sizes.rows, 576), random(576, 1536));
    let windows = rows.clone().reshape([sizes.rows / 128, 128, 576]);
    let operations = 2.0 * sizes.rows as f64 * 576.0 * 1536.0;
    let one = shortest(device, || rows.clone().matmul(map.clone()));
    let each = shortest(device, || windows.clone().matmul(map.clone().unsqueeze()));
    rates.insert("linear_one_product".to_owned(), json!(gflops(operations, one)));
    rates.insert("linear_by_window".to_owned(), json!(gflops(operations, each)));
    Value::Object(rates)
}

/// Two streams of SmolLM2's width over its vocabulary: the products, and these with all reductions.
fn readout(device: &Device, sizes: &Sizes) -> Value {
    let config = config_of_width(if sizes.rows > 1024 { 576 } else { 128 });
    let model = config.init(0, device).expect("it is sound");
    let n = sizes.rows / 128;
    let windows = random_windows(&config, n, 128);
    let random = || Tensor::<3>::random([n, 128, config.d_model], Distribution::Normal(0.0, 1.0), device);
    let (clean, changed) = (random(), random());
    let readout = Readout::new(&model);
    let compare = || {
        let mut scores = [Scores::default(), Scores::default()];
        readout.compare(&windows, 0..n, vec![clean.clone(), changed.clone()], 0, &mut scores).expect("it runs");
    };
    let seconds = shortest(device, compare);
    let work = DeviceWork::of(device, compare).1;
    let operations = 4.0 * sizes.rows as f64 * (config.d_model * config.d_vocab) as f64;
    json!({"rows": sizes.rows, "d_vocab": config.d_vocab, "seconds": seconds, "gflops": operations / seconds / 1e9, "work": work})
}

/// All deletions and swaps.
fn sweep(device: &Device, sizes: &Sizes) -> Value {
    let config = config_of_width(if sizes.layers > 2 { 576 } else { 128 }).with_n_layers(sizes.layers);
    let model = config.init(0, device).expect("it is sound");
    let windows = random_windows(&config, sizes.windows, 128);
    let run = || {
        let started = Instant::now();
        Study::new(&model).add(Sweep::delete()).add(Sweep::swap()).run(&windows).expect("it runs");
        started.elapsed().as_secs_f64()
    };
    let cold = run();
    let (warm, work) = DeviceWork::of(device, run);
    json!({"layers": sizes.layers, "tokens": sizes.windows * 128, "cold_seconds": cold, "warm_seconds": warm.min(run()), "work": work})
}
