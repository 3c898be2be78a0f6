package search

const childEnv = "HOLDFAST_SEARCH_CHILD"

func runChild(dir string) {}
