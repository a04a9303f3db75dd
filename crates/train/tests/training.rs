//! Training from texts to a checkpoint: what a run writes, a run that was stopped, steps that are kept, errors.

use std::fs;
use std::path::Path;

use approx::abs_diff_eq;
use stratigraph_core::TokenWindows;
use stratigraph_models::{Checkpoint, Storage};
use stratigraph_study::{Backend, Study};
use stratigraph_train::{Corpus, Result, Texts, TrainedShape, Trainer, TrainingConfig, Trigram};

/// The sample text, many times over so that a part can be held out.
fn sample() -> String {
    include_str!("../../../examples/data/sample.txt").repeat(12)
}

/// Eight steps of a very small model.
fn config() -> TrainingConfig {
    TrainingConfig::default()
        .with_shape(2, 16, 2)
        .with_d_vocab(300)
        .with_n_ctx(16)
        .with_batch_size(4)
        .with_steps(8, 2)
        .with_checkpoint_every(4)
}

fn trainer<'a>(config: TrainingConfig, texts: &Texts, out: &Path) -> Result<Trainer<'a>> {
    Trainer::new(config, texts, out, &Backend::Flex.device()?)
}

/// The names in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = entries.collect();
    names.sort();
    names
}

#[test]
fn what_it_writes_is_a_checkpoint_with_a_tokenizer() {
    let dir = tempfile::tempdir().unwrap();
    let (text, out) = (dir.path().join("sample.txt"), dir.path().join("out"));
    fs::write(&text, sample()).unwrap();
    let mut trainer = trainer(config(), &Texts::read(&[text]).unwrap(), &out).unwrap();
    let trained = trainer.run().unwrap().expect("it was not stopped");
    assert_eq!(names(&out), ["checkpoints", "config.json", "loss.csv", "model.safetensors", "tokenizer.json"]);
    assert_eq!(names(&out.join("checkpoints")), ["step-0000008"]);
    let checkpoint = Checkpoint::open(&out).unwrap();
    assert_eq!((checkpoint.config(), checkpoint.config().n_layers), (&config().decoder(), 2));
    let tokenizer = checkpoint.tokenizer().unwrap();
    assert_eq!(tokenizer.n_tokens(), 300);
    let ids = tokenizer.encode("The heron did not move.").unwrap();
    assert_eq!(tokenizer.decode(&ids).unwrap(), "The heron did not move.");
    let model = checkpoint.load(&Backend::Flex.device().unwrap()).unwrap();
    let windows = TokenWindows::new(&ids, 8).unwrap();
    assert!(Study::new(&model).run(&windows).is_ok());
    assert_eq!(fs::read_to_string(out.join("loss.csv")).unwrap().lines().count(), 1 + 2);
    // Files hold f16.
    let corpus = trainer.corpus();
    let (written, trained) = (corpus.held_out_loss(&model).unwrap(), corpus.held_out_loss(&trained).unwrap());
    assert!(abs_diff_eq!(written, trained, epsilon = 1e-3), "{written}, not {trained}");
}

#[test]
fn every_family_is_trained_and_read_back() {
    for family in TrainedShape::ALL {
        let dir = tempfile::tempdir().unwrap();
        let config = config().with_shape(2, 16, 2).with_family(family);
        let mut losses = Vec::new();
        let trainer = trainer(config.clone(), &Texts::from_documents([sample()]), dir.path()).unwrap();
        trainer.on_progress(|progress| losses.push(progress.loss)).run().unwrap();
        assert!(losses.iter().all(|loss| loss.is_finite()) && losses[7] < losses[0], "{family:?}: {losses:?}");
        assert_eq!(Checkpoint::open(dir.path()).unwrap().config(), &config.decoder(), "{family:?}");
    }
}

#[test]
fn a_tokenizer_gives_the_ids_that_were_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let texts = Texts::from_documents([sample()]);
    let corpus = Corpus::new(&texts, &config()).unwrap();
    let path = dir.path().join("tokenizer.json");
    fs::write(&path, corpus.tokenizer_json()).unwrap();
    let tokenizer = stratigraph_models::Tokenizer::from_file(&path).unwrap();
    assert_eq!(tokenizer.encode(&texts.train().concat()).unwrap(), corpus.train());
    let held_out = tokenizer.encode(&texts.held_out().concat()).unwrap();
    assert_eq!(&TokenWindows::new(&held_out, 16).unwrap(), corpus.held_out());
    let bytes_per_token = texts.held_out().concat().len() as f64 / held_out.len() as f64;
    assert!(abs_diff_eq!(corpus.bits_per_byte(std::f64::consts::LN_2), 1.0 / bytes_per_token, epsilon = 1e-12));
    // The sample is repeated, so counting knows what is held out.
    let trigram = Trigram::count(corpus.train(), 300).loss(corpus.held_out());
    assert!(trigram > 0.0 && trigram < 0.5 * 300_f64.ln(), "{trigram}");
}

#[test]
fn a_run_that_was_stopped_ends_as_one_that_was_not() {
    let dir = tempfile::tempdir().unwrap();
    let (straight, stopped) = (dir.path().join("straight"), dir.path().join("stopped"));
    let texts = Texts::from_documents([sample()]);
    let config = config().with_keep([0, 3, 6]);
    assert!(trainer(config.clone(), &texts, &straight).unwrap().run().unwrap().is_some());
    // The state after four of the same eight steps: what is left when the process dies after the first checkpoint.
    let first = trainer(config.clone(), &texts, &stopped).unwrap();
    assert!(first.with_stop_after(4).run().unwrap().is_none());
    assert!(!stopped.join("model.safetensors").exists());
    assert_eq!(names(&stopped.join("steps")), ["000000", "000003"]);
    // What was being written then is not taken for whole.
    for dir in ["checkpoints/partial", "steps/partial", "steps/000006"] {
        fs::create_dir_all(stopped.join(dir)).unwrap();
        fs::write(stopped.join(dir).join("leftover"), "").unwrap();
    }
    let mut second = trainer(config, &texts, &stopped).unwrap();
    assert_eq!(second.step(), 4);
    assert!(second.run().unwrap().is_some());
    assert_eq!(names(&stopped.join("steps/000006")), ["config.json", "model.safetensors", "tokenizer.json"]);
    assert_eq!(names(&stopped.join("steps")), ["000000", "000003", "000006"]);
    let kept = ["steps/000000", "steps/000003", "steps/000006"].map(|dir| format!("{dir}/model.safetensors"));
    for file in ["model.safetensors", "loss.csv", "tokenizer.json"].into_iter().chain(kept.iter().map(String::as_str)) {
        let read = |run: &Path| fs::read(run.join(file)).unwrap();
        assert!(read(&straight) == read(&stopped), "{file} differs");
    }
}

#[test]
fn chosen_steps_are_kept_as_directories_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let (out, device) = (dir.path(), Backend::Flex.device().unwrap());
    let texts = Texts::from_documents([sample()]);
    // A point of the loss curve for each step; steps to keep in any order, and one of them twice.
    let config = config().with_checkpoint_every(1).with_keep([8, 0, 4, 3, 3]);
    let mut losses = Vec::new();
    let trainer = trainer(config.clone(), &texts, out).unwrap();
    trainer.on_progress(|progress| losses.extend(progress.recorded.map(|point| point.held_out_loss))).run().unwrap();
    assert_eq!(names(&out.join("steps")), ["000000", "000003", "000004", "000008"]);
    let corpus = Corpus::new(&texts, &config).unwrap();
    let start = dir.path().join("start");
    config.decoder().init(config.seed, &device).unwrap().save(&start, Storage::F16).unwrap();
    let read = |dir: &Path, file: &str| fs::read(dir.join(file)).unwrap();
    for (step, as_in) in [(0, Some(start.as_path())), (3, None), (4, None), (8, Some(out))] {
        let kept = out.join(format!("steps/{step:06}"));
        assert_eq!(names(&kept), ["config.json", "model.safetensors", "tokenizer.json"]);
        assert!(read(&kept, "tokenizer.json") == read(out, "tokenizer.json"), "{step}");
        if let Some(other) = as_in {
            assert!(read(&kept, "model.safetensors") == read(other, "model.safetensors"), "{step}");
        }
        let loss = corpus.held_out_loss(&Checkpoint::open(&kept).unwrap().load(&device).unwrap()).unwrap();
        let curve: Vec<_> = losses.iter().map(|point| (point - loss).abs()).collect();
        let nearest = (0..curve.len()).min_by(|a, b| curve[*a].total_cmp(&curve[*b])).unwrap();
        assert!(step == 0 || (nearest == step - 1 && curve[nearest] < 1e-3), "{step}: {loss}, not of {losses:?}");
    }
}

#[test]
fn what_is_wrong_is_said_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let texts = Texts::from_documents([sample()]);
    trainer(config().with_steps(4, 2), &texts, &out).unwrap().run().unwrap();
    let before: Vec<_> = ["model.safetensors", "tokenizer.json"].map(|file| fs::read(out.join(file)).unwrap()).into();
    let cases = [
        (config(), "other settings (n_steps is 4 there and 8 here)"),
        (config().with_d_vocab(301), "d_vocab is 300 there and 301 here"),
        (config().with_shape(2, 16, 3), "d_model = 16 is not valid: it must be a multiple of n_heads = 3"),
        (config().with_shape(2, 16, 0), "n_heads = 0"),
        (config().with_shape(0, 16, 2), "n_layers"),
        (config().with_batch_size(0), "batch_size = 0"),
        (config().with_n_workers(0), "n_workers = 0"),
        (config().with_checkpoint_every(0), "checkpoint_every = 0"),
        (config().with_d_vocab(100_000), "give a vocabulary of"),
        (
            config().with_steps(8, 9000),
            "warm_up_steps = 9000 is not valid: it must be at least 1 and below n_steps = 8",
        ),
        (config().with_learning_rate(f64::NAN), "learning_rate = NaN"),
        (config().with_weight_decay(-0.1), "weight_decay = -0.1"),
        (config().with_max_grad_norm(0.0), "max_grad_norm = 0"),
        (config().with_keep([4, 9]), "keep = 9 is not valid: the run has n_steps = 8"),
        (config().with_n_ctx(100_000), "shorter than one window"),
        (config().with_n_ctx(1_000_000), "too few to train on windows of 1000000"),
    ];
    for (config, part) in cases {
        let message = trainer(config.clone(), &texts, &out).err().unwrap_or_else(|| panic!("{config:?}")).to_string();
        assert!(message.contains(part) && message.lines().count() == 1, "{config:?}: {message}");
    }
    let after: Vec<_> = ["model.safetensors", "tokenizer.json"].map(|file| fs::read(out.join(file)).unwrap()).into();
    assert!(before == after, "a run that was refused wrote something");
}

#[test]
fn texts_that_cannot_be_used_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out");
    let message = Texts::read(&["absent.txt"]).unwrap_err().to_string();
    assert!(message.starts_with("cannot read absent.txt: "), "{message}");
    let message = Texts::read(&[dir.path()]).unwrap_err().to_string();
    assert!(message.starts_with("there is no text in "), "{message}");
    assert!(Texts::read::<&str>(&[]).is_err());
    let short = Texts::from_documents(["a short text"]);
    let message = trainer(config(), &short, &out).err().unwrap().to_string();
    assert!(message.starts_with("12 bytes of text are too few"), "{message}");
    // The same settings, and another text in the place of the first.
    let config = config().with_steps(4, 2);
    trainer(config.clone(), &Texts::from_documents([sample()]), &out).unwrap().run().unwrap();
    let other = Texts::from_documents([sample() + "And no more.\n"]);
    let message = trainer(config.clone(), &other, &out).err().unwrap().to_string();
    assert!(message.contains("other settings (texts is "), "{message}");
    fs::write(out.join("checkpoints/step-0000004/state.json"), "{").unwrap();
    let message = trainer(config, &Texts::from_documents([sample()]), &out).err().unwrap().to_string();
    assert!(message.starts_with("cannot continue from ") && message.contains("step-0000004"), "{message}");
}
