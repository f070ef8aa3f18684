package bench

import "slices"

// order is the order of the subjects in a round. Subjects that are compared are
// neighbours, so a disturbance hits both. Each round begins with another group,
// and every second round goes backwards, so that no subject is always first.
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

// walk goes from subject i to all subjects that it is compared with, and so on.
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
