package bench

import "slices"

// order is how a round goes through the subjects. Who is compared with whom
// stands side by side, so that what happens to one happens to the other too.
// Each round begins elsewhere, and every second one goes backwards, so that none
// is always first, of all or of two.
func (r *Result) order(round int) (order []int) {
	groups := r.groups()
	for k := range groups {
		group := slices.Clone(groups[(k+round)%len(groups)])
		if round%2 == 1 {
			slices.Reverse(group)
		}
		order = append(order, group...)
	}
	return order
}

// groups are the subjects that are compared with each other, each group in a
// row of neighbours: "epoll, C epoll, goroutine, C thread, thread".
func (r *Result) groups() (groups [][]int) {
	seen := map[int]bool{}
	for i := range r.Subjects {
		if seen[i] {
			continue
		}
		row := r.walk(i, map[int]bool{})
		end := row[len(row)-1] // of the row, if it is one
		groups = append(groups, r.walk(end, seen))
	}
	return groups
}

// walk goes from subject i to all that it is compared with, and on from there.
func (r *Result) walk(i int, seen map[int]bool) []int {
	seen[i] = true
	row := []int{i}
	for j := range r.Subjects {
		if !seen[j] && (r.together(i, j) || r.together(j, i)) {
			row = append(row, r.walk(j, seen)...)
		}
	}
	return row
}

// together reports whether j is i's twin, or i once more.
func (r *Result) together(i, j int) bool {
	return slices.Contains(r.Subjects[i].Twins, r.Subjects[j].Name) || i == r.First && r.Subjects[j].Again
}
