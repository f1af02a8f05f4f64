package policy

import "slices"

// linear is up to how many members a set is searched one by one, which is faster than a map for so few.
const linear = 48

// set keeps its members in the order in which they came, each once. The zero set is empty.
type set[T comparable] struct {
	members []T
	index   map[T]struct{} // of all members, once there are more than linear
}

// has reports whether v is a member.
func (s *set[T]) has(v T) bool {
	if len(s.members) <= linear {
		return slices.Contains(s.members, v)
	}
	if s.index == nil {
		s.index = make(map[T]struct{}, 2*len(s.members))
		for _, m := range s.members {
			s.index[m] = struct{}{}
		}
	}
	_, ok := s.index[v]
	return ok
}

// add makes v a member and reports whether it was none before.
func (s *set[T]) add(v T) bool {
	if s.has(v) {
		return false
	}
	s.members = append(s.members, v)
	if s.index != nil {
		s.index[v] = struct{}{}
	}
	return true
}

// reset empties the set and keeps its memory for the next use.
func (s *set[T]) reset() {
	s.members, s.index = s.members[:0], nil
}
