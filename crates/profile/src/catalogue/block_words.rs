//! What the catalogue says about sweeps over blocks of layers: [`entries`], [`find`].

use super::SweepEntry;
use super::blocks::{BlockChange, BlockLengths, BlockSweep};

/// The group of the curves of sweeps over blocks of neighbouring layers.
pub const BLOCKS: &str = "Blocks of layers";

/// A block sweep in words, with the numbers of its name or letters in their places.
struct Words<'a> {
    sweep: BlockSweep,
    /// How many layers a block has.
    length: &'a str,
    /// How often, or the seed.
    number: &'a str,
}

/// The sweep of a name.
pub(super) fn find(name: &str) -> Option<SweepEntry> {
    let sweep = BlockSweep::parse(name)?;
    let (BlockLengths::Each(length) | BlockLengths::UpTo(length)) = sweep.lengths;
    let number = match sweep.change {
        BlockChange::RepeatLayers { times }
        | BlockChange::RepeatBlock { times }
        | BlockChange::LoopedParallel { times } => times.to_string(),
        BlockChange::Shuffle { seed } => seed.to_string(),
        _ => String::new(),
    };
    Some(Words { sweep, length: &length.to_string(), number: &number }.entry(name.to_owned()))
}

/// All sweeps, with letters for numbers.
pub(super) fn entries() -> Vec<SweepEntry> {
    let (times, seed) = (3, 7);
    let changes = [
        (BlockChange::Skip, ""),
        (BlockChange::RepeatLayers { times: 2 }, "2"),
        (BlockChange::RepeatLayers { times }, "k"),
        (BlockChange::RepeatBlock { times: 2 }, "2"),
        (BlockChange::RepeatBlock { times }, "k"),
        (BlockChange::Reverse, ""),
        (BlockChange::Shuffle { seed: 0 }, "0"),
        (BlockChange::Shuffle { seed }, "k"),
        (BlockChange::Parallel, ""),
        (BlockChange::LoopedParallel { times }, "k"),
        (BlockChange::Middle, ""),
    ];
    let entry = |(change, number)| {
        let both = [BlockLengths::Each(1), BlockLengths::UpTo(1)].map(|lengths| BlockSweep::new(change, lengths));
        both.map(|sweep| {
            let name = sweep.to_string().replacen("_1", "_b", 1);
            let name = name.replace(&format!("_{times}"), "_k").replace(&format!("_{seed}"), "_k");
            Words { sweep, length: "b", number }.entry(name)
        })
    };
    changes.into_iter().flat_map(entry).collect()
}

impl Words<'_> {
    fn entry(&self, name: String) -> SweepEntry {
        let [title, definition] = self.title_and_definition();
        let lengths = match self.sweep.lengths {
            BlockLengths::Each(_) => "",
            BlockLengths::UpTo(_) => ". Of all blocks of one layer to this many",
        };
        let scaled = self.sweep.scale.map_or_else(Default::default, |factor| {
            [
                format!(", scaled by {factor}"),
                format!(". What a layer writes after its first run is multiplied by {factor}"),
            ]
        });
        SweepEntry {
            title: format!("{title}{}", scaled[0]),
            label: name.replace('_', " "),
            name,
            group: BLOCKS,
            axis: self.sweep.axis(),
            text: self.text().to_owned(),
            definition: format!("{definition}{}{lengths}", scaled[1]),
            is_difference: false,
            needs_data: false,
        }
    }

    /// The title, and what runs.
    fn title_and_definition(&self) -> [String; 2] {
        let (n, k) = (self.length, self.number);
        let up_to = if matches!(self.sweep.lengths, BlockLengths::UpTo(_)) { "up to " } else { "" };
        let block = format!("{up_to}{n} layers");
        let often = if k == "2" { "twice".to_owned() } else { format!("{k} times") };
        match self.sweep.change {
            BlockChange::Skip => {
                [format!("Skipping blocks of {block}"), format!("The {n} layers from `l` on are left out")]
            }
            BlockChange::RepeatLayers { .. } if up_to.is_empty() && k == "2" => [
                format!("Repeating each of {n} layers"),
                format!("Each of the {n} layers from `l` on runs twice in a row"),
            ],
            BlockChange::RepeatLayers { .. } => [
                format!("Running each of {block} {often}"),
                format!("Each of the {n} layers from `l` on runs {often} in a row"),
            ],
            BlockChange::RepeatBlock { .. } => [
                format!("Running blocks of {block} {often}"),
                format!("The {n} layers from `l` on run as a block {often}: `l .. l+{n}-1 l .. l+{n}-1`"),
            ],
            BlockChange::Reverse => [
                format!("Reversing blocks of {block}"),
                format!("The {n} layers from `l` on run in the opposite order"),
            ],
            BlockChange::Shuffle { .. } => [
                format!("Shuffling blocks of {block}, seed {k}"),
                format!(
                    "The {n} layers from `l` on run in a random order, the same for all blocks of a length; seed {k}"
                ),
            ],
            BlockChange::Parallel => [
                format!("Running blocks of {block} in parallel"),
                format!("The {n} layers from `l` on run on the same input, and their outputs are averaged"),
            ],
            BlockChange::LoopedParallel { .. } => [
                format!("Running blocks of {block} in parallel, {often}"),
                format!(
                    "The {n} layers from `l` on run on the same input, and their outputs are averaged, {often} in a row"
                ),
            ],
            BlockChange::Middle => [
                format!("The middle layer of blocks of {block} in the place of each"),
                format!("Layer `l + {n} / 2` (rounded down) runs {n} times in the place of the {n} layers from `l` on"),
            ],
        }
    }

    /// The intervention at layer 3 of 12 layers for blocks of two, three times where it is not twice.
    fn text(&self) -> &'static str {
        let twice = self.number == "2";
        match self.sweep.change {
            BlockChange::Skip => "0..3-5..12",
            BlockChange::RepeatLayers { .. } if twice => "0..4-3-4-4..12",
            BlockChange::RepeatLayers { .. } => "0..4-3-3-4-4-4..12",
            BlockChange::RepeatBlock { .. } if twice => "0..5-3..12",
            BlockChange::RepeatBlock { .. } => "0..5-3-4-3..12",
            BlockChange::Reverse | BlockChange::Shuffle { .. } => "0..3-4-3-5..12",
            BlockChange::Parallel => "0..3-(3+4)-5..12",
            BlockChange::LoopedParallel { .. } if twice => "0..3-(3+4)-(3+4)-5..12",
            BlockChange::LoopedParallel { .. } => "0..3-(3+4)-(3+4)-(3+4)-5..12",
            BlockChange::Middle => "0..3-4-4..12",
        }
    }
}

/// Whether a sweep over blocks can be limited to positions: layers that are left out can be skipped at some alone.
pub(super) fn can_be_limited(sweep: &SweepEntry) -> bool {
    sweep.group != BLOCKS || BlockSweep::parse(&sweep.name).is_some_and(|it| it.change == BlockChange::Skip)
}
