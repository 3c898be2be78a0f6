// Command packaging makes Holdfast's packages.
package main

func main() {}
