//! Groups, their accumulators, and the merging of partial results.

use std::cmp::Ordering;

use nearside_planner::fragment::{Aggregate, Function};
use nearside_programs::manifest::{Output, State, StateSource, total_order_key, total_order_key_f32};
use nearside_programs::{Manifest, Scalar, ValueType};

use super::layout::scalar;

/// A bounded table of groups.
pub(crate) struct Groups<'a> {
    manifest: &'a Manifest,
    keys: Vec<Vec<Scalar>>,
    groups_max: usize,
    /// The accumulators' bytes.
    pub(crate) arrays: Vec<Vec<u8>>,
    texts: Vec<Vec<Option<String>>>,
}

impl<'a> Groups<'a> {
    pub(crate) fn new(manifest: &'a Manifest, groups_max: usize) -> Self {
        let mut groups = Self { manifest, keys: Vec::new(), groups_max, arrays: Vec::new(), texts: Vec::new() };
        groups.clear();
        groups
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(crate) fn is_grouped(&self) -> bool {
        matches!(&self.manifest.output, Output::Aggregate { keys, .. } if !keys.is_empty())
    }

    /// The group of a key; `None` if there is no room for it. Zero has no sign in a key.
    pub(crate) fn id(&mut self, key: Vec<Scalar>) -> Option<usize> {
        let key: Vec<Scalar> = key.into_iter().map(unsigned_zero).collect();
        if let Some(id) = self.keys.iter().position(|known| *known == key) {
            return Some(id);
        }
        (self.keys.len() < self.groups_max).then(|| {
            self.keys.push(key);
            self.keys.len() - 1
        })
    }

    pub(crate) fn update_text(&mut self, state: usize, group: usize, text: &str, min: bool) {
        let known = &mut self.texts[state][group];
        let better = known.as_deref().is_none_or(|known| if min { text < known } else { text > known });
        if better {
            *known = Some(text.to_owned());
        }
    }

    /// Hands out the groups' rows and forgets them.
    pub(crate) fn emit(&mut self, mut take: impl FnMut(Vec<Scalar>)) {
        let Output::Aggregate { states, .. } = &self.manifest.output else { return };
        let keys = if self.is_grouped() { std::mem::take(&mut self.keys) } else { vec![Vec::new()] };
        for (group, mut row) in keys.into_iter().enumerate() {
            row.extend(states.iter().map(|state| self.state(state, group)));
            take(row);
        }
        self.clear();
    }

    fn clear(&mut self) {
        let Output::Aggregate { accumulators, states, .. } = &self.manifest.output else { return };
        self.keys.clear();
        let initial = |width: u32, initial: i128| initial.to_le_bytes()[..width as usize].repeat(self.groups_max);
        self.arrays = accumulators.iter().map(|accumulator| initial(accumulator.width, accumulator.initial)).collect();
        let texts = states.iter().filter(|state| matches!(state.source, StateSource::Text(_))).count();
        self.texts = vec![vec![None; self.groups_max]; texts];
    }

    fn element(&self, accumulator: u32, group: usize) -> &[u8] {
        let array = &self.arrays[accumulator as usize];
        let width = array.len() / self.groups_max;
        &array[group * width..][..width]
    }

    fn state(&self, state: &State, group: usize) -> Scalar {
        let seen = state.seen.is_none_or(|seen| self.element(seen, group).iter().any(|byte| *byte != 0));
        if !seen {
            return Scalar::Null(state.value_type);
        }
        match state.source {
            StateSource::Accumulator(index) if state.value_type == ValueType::Bool => {
                Scalar::Bool(self.element(index, group)[0] & 1 == 1)
            }
            StateSource::Accumulator(index) => scalar(state.value_type, self.element(index, group)),
            StateSource::TotalOrderKey(index) => {
                let key = i64::from_le_bytes(self.element(index, group).try_into().unwrap());
                match state.value_type {
                    ValueType::Float32 => Scalar::Float32(total_order_key_f32(key as i32) as u32),
                    _ => Scalar::Float64(total_order_key(key) as u64),
                }
            }
            StateSource::Text(index) => Scalar::Utf8(self.texts[index as usize][group].clone().expect("seen, so there is one")),
        }
    }
}

fn unsigned_zero(key: Scalar) -> Scalar {
    match key {
        Scalar::Float32(bits) if bits << 1 == 0 => Scalar::Float32(0),
        Scalar::Float64(bits) if bits << 1 == 0 => Scalar::Float64(0),
        key => key,
    }
}

/// Adds a partial row to the result, as the host's final aggregation does.
pub(crate) fn merge(result: &mut Vec<Vec<Scalar>>, partial: Vec<Scalar>, key_count: usize, aggregates: &[Aggregate]) {
    let Some(row) = result.iter_mut().find(|row| row[..key_count] == partial[..key_count]) else {
        return result.push(partial);
    };
    for ((state, new), aggregate) in row[key_count..].iter_mut().zip(&partial[key_count..]).zip(aggregates) {
        *state = match (&*state, new) {
            (old, Scalar::Null(_)) => old.clone(),
            (Scalar::Null(_), new) => new.clone(),
            (old, new) => merged(aggregate.function, old, new),
        };
    }
}

fn merged(function: Function, old: &Scalar, new: &Scalar) -> Scalar {
    let better = match function {
        Function::Min => order(new, old) == Ordering::Less,
        Function::Max => order(new, old) == Ordering::Greater,
        Function::Count | Function::Sum => return sum(old, new),
    };
    if better { new.clone() } else { old.clone() }
}

fn sum(old: &Scalar, new: &Scalar) -> Scalar {
    match (old, new) {
        (Scalar::Int(value_type, a), Scalar::Int(_, b)) => {
            let wrapped = (*a as u64).wrapping_add(*b as u64);
            Scalar::Int(
                *value_type,
                if *value_type == ValueType::UInt64 { i128::from(wrapped) } else { i128::from(wrapped as i64) },
            )
        }
        (Scalar::Decimal { value: a, precision, scale }, Scalar::Decimal { value: b, .. }) => {
            Scalar::Decimal { value: a.wrapping_add(*b), precision: *precision, scale: *scale }
        }
        (Scalar::Float64(a), Scalar::Float64(b)) => Scalar::Float64((f64::from_bits(*a) + f64::from_bits(*b)).to_bits()),
        (old, new) => panic!("no sum of {old:?} and {new:?}"),
    }
}

pub(crate) fn order(left: &Scalar, right: &Scalar) -> Ordering {
    match (left, right) {
        (Scalar::Bool(a), Scalar::Bool(b)) => a.cmp(b),
        (Scalar::Int(_, a), Scalar::Int(_, b)) | (Scalar::Decimal { value: a, .. }, Scalar::Decimal { value: b, .. }) => a.cmp(b),
        (Scalar::Float32(a), Scalar::Float32(b)) => f32::from_bits(*a).total_cmp(&f32::from_bits(*b)),
        (Scalar::Float64(a), Scalar::Float64(b)) => f64::from_bits(*a).total_cmp(&f64::from_bits(*b)),
        (Scalar::Utf8(a), Scalar::Utf8(b)) => a.cmp(b),
        (left, right) => panic!("no order of {left:?} and {right:?}"),
    }
}
