//! Slab storage: values at stable indices, found by id once and by index afterwards, so that the media path never hashes.
//!
//! An index is reused after removal: whoever keeps one drops it when its owner goes (see `lifecycle.rs`).

use rustc_hash::FxHashMap;
use std::hash::Hash;
use std::marker::PhantomData;

/// Position of a value in the arena of ids `K`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ix<K>(u32, PhantomData<K>);

/// Values of one kind.
pub struct Arena<K, V> {
    entries: Vec<Option<V>>,
    free: Vec<u32>,
    by_id: FxHashMap<K, Ix<K>>,
}

impl<K: Copy + Eq + Hash, V> Arena<K, V> {
    /// An empty arena.
    pub fn new() -> Self {
        Self {
            entries: Vec::new(),
            free: Vec::new(),
            by_id: FxHashMap::default(),
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Stores `value`; `None` when the id is taken.
    pub fn insert(&mut self, id: K, value: V) -> Option<Ix<K>> {
        if self.by_id.contains_key(&id) {
            return None;
        }
        let position = if let Some(position) = self.free.pop() {
            position
        } else {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        };
        self.entries[position as usize] = Some(value);
        let ix = Ix(position, PhantomData);
        self.by_id.insert(id, ix);
        Some(ix)
    }

    /// Where the value of `id` is.
    pub fn find(&self, id: K) -> Option<Ix<K>> {
        self.by_id.get(&id).copied()
    }

    /// Number of places, taken or not.
    pub fn places(&self) -> usize {
        self.entries.len()
    }

    /// The place of this number.
    pub fn nth(&self, place: usize) -> Option<Ix<K>> {
        let position = u32::try_from(place).ok();
        let position = position.filter(|_| place < self.entries.len())?;
        Some(Ix(position, PhantomData))
    }

    /// Removes the value of `id`.
    pub fn remove(&mut self, id: K) -> Option<V> {
        let ix = self.by_id.remove(&id)?;
        self.free.push(ix.0);
        self.entries.get_mut(ix.0 as usize)?.take()
    }

    /// The place at `ix`, without looking at what is there.
    #[inline]
    pub fn place(&self, ix: Ix<K>) -> Option<&Option<V>> {
        self.entries.get(ix.0 as usize)
    }

    /// The value at `ix`.
    pub fn get(&self, ix: Ix<K>) -> Option<&V> {
        self.entries.get(ix.0 as usize)?.as_ref()
    }

    /// The value at `ix`.
    pub fn get_mut(&mut self, ix: Ix<K>) -> Option<&mut V> {
        self.entries.get_mut(ix.0 as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_id_and_by_index() {
        let mut arena = Arena::new();
        let ix = arena.insert(7u64, "seven").unwrap();
        assert_eq!(arena.find(7), Some(ix));
        assert_eq!(arena.get(ix), Some(&"seven"));
        assert_eq!(arena.insert(7, "again"), None);
    }

    #[test]
    fn reuses_the_place_of_a_removed_value() {
        let mut arena = Arena::new();
        let first = arena.insert(1u64, 'a').unwrap();
        assert_eq!(arena.remove(1), Some('a'));
        assert_eq!(arena.get(first), None);
        assert_eq!(arena.insert(2, 'b'), Some(first));
        assert_eq!((arena.find(1), arena.len()), (None, 1));
    }
}
