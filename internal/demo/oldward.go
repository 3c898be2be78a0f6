package main

const oldWardName = "ward-2019"
