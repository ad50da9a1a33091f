//! Short sorted vectors of which there are very many: nearly every allocation has one or two
//! permissions and channels, and a vector that grows by itself would hold room for four.

/// Length up to which a vector grows by one.
const GROWS_BY_ONE: usize = 4;

/// `list.insert(at, element)`, with no more room than is needed while the list is short.
pub(super) fn insert<T>(list: &mut Vec<T>, at: usize, element: T) {
    if list.len() == list.capacity() && list.len() < GROWS_BY_ONE {
        list.reserve_exact(1);
    }
    list.insert(at, element);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_list_has_no_spare_room_and_a_long_one_does_not_grow_each_time() {
        let mut list = Vec::new();
        let mut grown = 0;
        for n in 0..1000_usize {
            let before = list.capacity();
            insert(&mut list, n / 2, n);
            grown += usize::from(list.capacity() != before);
            if list.len() <= GROWS_BY_ONE {
                assert_eq!(list.capacity(), list.len());
            }
        }
        assert_eq!(list.len(), 1000);
        assert!(grown < 20, "{grown}");
    }
}
