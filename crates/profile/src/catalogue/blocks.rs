//! Names of sweeps over blocks of neighbouring layers: [`BlockSweep`], what it does with each ([`BlockChange`]).

use std::fmt;

use super::entry::AxisKind;

/// What is done with a block of neighbouring layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockChange {
    /// The block is left out.
    Skip,
    /// Each layer runs `times` times in a row: `l l l+1 l+1`.
    RepeatLayers {
        /// How often, at least 2.
        times: usize,
    },
    /// The block runs `times` times: `l l+1 l l+1`.
    RepeatBlock {
        /// How often, at least 2.
        times: usize,
    },
    /// Its layers run in the opposite order.
    Reverse,
    /// Its layers run in a random order, which depends on the seed and the length of the block alone.
    Shuffle {
        /// The seed.
        seed: u64,
    },
    /// Its layers run on the same input, and their outputs are averaged.
    Parallel,
    /// The same `times` times in a row, each time on the average of the time before.
    LoopedParallel {
        /// How often, at least 2.
        times: usize,
    },
    /// Its middle layer (of an even number the later one) runs in place of each.
    Middle,
}

/// How many layers the blocks of a sweep have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockLengths {
    /// This many: a curve over the first layers of the blocks.
    Each(usize),
    /// From one to this many: a curve over all blocks, and a matrix over lengths and first layers.
    UpTo(usize),
}

/// A sweep over blocks of neighbouring layers, which is written as its name: `skip_3`, `repeat_block_up_to_4_times_3`,
/// `shuffle_5_seed_7`, `repeat_block_2_scaled_0.5`.
///
/// ```
/// use stratigraph_profile::catalogue::{BlockChange, BlockLengths, BlockSweep};
///
/// let sweep = BlockSweep::parse("repeat_block_up_to_4_times_3").unwrap();
/// assert_eq!(sweep.change, BlockChange::RepeatBlock { times: 3 });
/// assert_eq!(sweep.lengths, BlockLengths::UpTo(4));
/// assert_eq!(sweep.to_string(), "repeat_block_up_to_4_times_3");
/// assert!(BlockSweep::parse("repeat_block_4_times_2").is_none()); // it is `repeat_block_4`
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct BlockSweep {
    /// What is done with each block.
    pub change: BlockChange,
    /// How many layers the blocks have.
    pub lengths: BlockLengths,
    /// What the later runs of a repeated layer write is multiplied by this, where it is.
    pub scale: Option<f64>,
}

/// The most often that a sweep by name runs a layer, so that a slip makes no plan that fills the memory.
const MOST_TIMES: usize = 100;

impl BlockSweep {
    /// Reads a name; none where it is not spelled as it is written.
    pub fn parse(name: &str) -> Option<Self> {
        read(name).filter(|sweep| sweep.is_valid() && sweep.to_string() == name)
    }

    /// A sweep without scaling.
    pub fn new(change: BlockChange, lengths: BlockLengths) -> Self {
        Self { change, lengths, scale: None }
    }

    /// With what the second and later runs of a layer write multiplied by a factor; only repeats have any.
    pub fn with_scale(self, factor: f64) -> Self {
        Self { scale: Some(factor), ..self }
    }

    /// Whether layers run more than once.
    pub fn repeats(&self) -> bool {
        matches!(self.change, BlockChange::RepeatLayers { .. } | BlockChange::RepeatBlock { .. })
    }

    /// What its curves run over.
    pub fn axis(&self) -> AxisKind {
        match self.lengths {
            BlockLengths::Each(length) => AxisKind::BlockStarts(length),
            BlockLengths::UpTo(longest) => AxisKind::Blocks(longest),
        }
    }

    /// Whether its numbers make sense.
    fn is_valid(&self) -> bool {
        let (BlockLengths::Each(length) | BlockLengths::UpTo(length)) = self.lengths;
        let repeats_enough = match self.change {
            BlockChange::RepeatLayers { times }
            | BlockChange::RepeatBlock { times }
            | BlockChange::LoopedParallel { times } => (2..=MOST_TIMES).contains(&times),
            _ => true,
        };
        let scale_fits = self.scale.is_none_or(|factor| factor.is_finite() && factor >= 0.0 && self.repeats());
        length > 0 && repeats_enough && scale_fits
    }
}

impl BlockChange {
    /// The beginning of the name of a sweep, the longer ones first where one begins with another.
    const VERBS: [(&str, BlockChange); 8] = [
        ("skip", BlockChange::Skip),
        ("repeat_block", BlockChange::RepeatBlock { times: 2 }),
        ("repeat", BlockChange::RepeatLayers { times: 2 }),
        ("reverse", BlockChange::Reverse),
        ("shuffle", BlockChange::Shuffle { seed: 0 }),
        ("looped_parallel", BlockChange::LoopedParallel { times: 2 }),
        ("parallel", BlockChange::Parallel),
        ("middle", BlockChange::Middle),
    ];

    pub(super) fn verb(self) -> &'static str {
        let same = |other: &BlockChange| std::mem::discriminant(other) == std::mem::discriminant(&self);
        Self::VERBS.iter().find(|(_, change)| same(change)).map_or("", |(verb, _)| verb)
    }

    /// With the number after `_times_`.
    fn with_times(self, number: usize) -> Option<Self> {
        match self {
            BlockChange::RepeatLayers { .. } => Some(BlockChange::RepeatLayers { times: number }),
            BlockChange::RepeatBlock { .. } => Some(BlockChange::RepeatBlock { times: number }),
            BlockChange::LoopedParallel { .. } => Some(BlockChange::LoopedParallel { times: number }),
            _ => None,
        }
    }
}

impl fmt::Display for BlockSweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.change.verb())?;
        match self.lengths {
            BlockLengths::Each(length) => write!(f, "_{length}")?,
            BlockLengths::UpTo(longest) => write!(f, "_up_to_{longest}")?,
        }
        match self.change {
            BlockChange::RepeatLayers { times } | BlockChange::RepeatBlock { times } if times != 2 => {
                write!(f, "_times_{times}")?;
            }
            BlockChange::LoopedParallel { times } => write!(f, "_times_{times}")?,
            BlockChange::Shuffle { seed } if seed != 0 => write!(f, "_seed_{seed}")?,
            _ => {}
        }
        self.scale.map_or(Ok(()), |factor| write!(f, "_scaled_{factor}"))
    }
}

/// Reads a name, whatever its spelling.
fn read(name: &str) -> Option<BlockSweep> {
    let (verb, mut change) = BlockChange::VERBS
        .into_iter()
        .find(|(verb, _)| name.strip_prefix(verb).is_some_and(|it| it.starts_with('_')))?;
    let rest = &name[verb.len() + 1..];
    let (rest, of): (&str, fn(usize) -> BlockLengths) = match rest.strip_prefix("up_to_") {
        Some(rest) => (rest, BlockLengths::UpTo),
        None => (rest, BlockLengths::Each),
    };
    let mut parts = rest.split('_');
    let lengths = of(parts.next()?.parse().ok()?);
    let mut scale = None;
    while let Some(word) = parts.next() {
        let number = parts.next()?;
        match word {
            "times" => change = change.with_times(number.parse().ok()?)?,
            "seed" if matches!(change, BlockChange::Shuffle { .. }) => {
                change = BlockChange::Shuffle { seed: number.parse().ok()? };
            }
            "scaled" => scale = Some(number.parse().ok()?),
            _ => return None,
        }
    }
    Some(BlockSweep { change, lengths, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written_and_in_no_other_way() {
        let names = [
            "skip_1",
            "skip_up_to_30",
            "repeat_5",
            "repeat_5_times_3",
            "repeat_block_2",
            "repeat_block_up_to_4_times_3",
            "repeat_block_2_scaled_0.5",
            "repeat_up_to_2_times_4_scaled_0",
            "reverse_4",
            "shuffle_4",
            "shuffle_up_to_4_seed_18446744073709551615",
            "parallel_3",
            "looped_parallel_3_times_2",
            "middle_3",
        ];
        for name in names {
            assert_eq!(BlockSweep::parse(name).map(|sweep| sweep.to_string()), Some(name.to_owned()));
        }
        let not = [
            "skip",
            "skip_0",
            "skip_03",
            "skip_up_to_",
            "skip_2_times_3",
            "skip_2_scaled_0.5",
            "repeat_5_times_2",
            "repeat_5_times_1",
            "repeat_5_scaled_0.50",
            "repeat_5_scaled_-1",
            "repeat_5_scaled_inf",
            "repeat_5_scaled_0.5_times_3",
            "shuffle_4_seed_0",
            "looped_parallel_3",
            "middle_3_",
            "skip_2_after_first",
        ];
        for name in not {
            assert_eq!(BlockSweep::parse(name), None, "{name}");
        }
    }
}
