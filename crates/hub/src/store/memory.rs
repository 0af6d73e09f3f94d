//! What write jobs leave for later ones, so that these need not read it from the database again.

use std::{
    any::{Any, TypeId},
    cell::RefCell,
    collections::HashMap,
    fmt,
};

/// One value of each type. The writer forgets all of them whenever it has undone something and when another
/// process has changed the file. So a value agrees with the rows it was made from as long as each job that
/// changes these rows changes the value too: neither survives the other.
#[derive(Default)]
pub(super) struct Memory {
    values: RefCell<HashMap<TypeId, Box<dyn Any>>>,
}

impl Memory {
    pub(super) fn with<T: Default + 'static, R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        let kind = TypeId::of::<T>();
        // Taken out while it is used: what a panic leaves half changed is forgotten.
        let taken = self.values.borrow_mut().remove(&kind);
        let mut value = taken
            .and_then(|value| value.downcast::<T>().ok())
            .unwrap_or_default();
        let result = act(&mut value);
        self.values.borrow_mut().insert(kind, value);
        result
    }

    pub(super) fn forget(&self) {
        self.values.borrow_mut().clear();
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("values", &self.values.borrow().len())
            .finish()
    }
}
