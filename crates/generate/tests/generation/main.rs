//! Generation on checkpoints of several families: batches, ends, texts, taps and comparisons.

mod batches;
mod chats;
mod comparisons;
mod ends;
mod texts;
mod transformers;

use stratigraph_models::{Checkpoint, Decoder, Tokenizer};
use stratigraph_testing::{device, fixture, repository};

fn load(name: &str) -> Decoder {
    Checkpoint::open(fixture(name)).unwrap().load(&device()).unwrap()
}

/// The model of the repository, which writes text.
fn tiny() -> (Decoder, Tokenizer) {
    let checkpoint = Checkpoint::open(repository().join("models/tiny")).unwrap();
    (checkpoint.load(&device()).unwrap(), checkpoint.tokenizer().unwrap())
}
