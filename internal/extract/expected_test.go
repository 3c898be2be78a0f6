package extract

// expected are phrases that the committed files' pages show. latex and groff
// set two columns with ligatures, of which the second by a character map that
// knows these alone; writer is an office program, which names by another text
// what its fonts have no letters for.
var expected = map[string][]string{
	"latex-two-columns.pdf": {
		"The offline affidavit was filed by the office staff; the fluffy efficient reflex was noted.", "lengthy characterization of cardiovascular electrophysiological",
		"disproportionate hospitalization responsibilities. Right column text", "difficult affection",
	},
	"object-streams.pdf":     {"the fluffy efficient reflex"},
	"aes128-no-password.pdf": {"the fluffy efficient reflex"},
	"groff-two-columns.pdf":  {"The offline efficient affidavit, filed by the office. Left column continues with a potassium level."},
	"writer-languages.pdf":   {"El niño llegó con dolor torácico", "Año, señal, corazón, pingüino", "左室肥大の疑い。患者は発熱三十九度。病棟", "한국어 환자", "troponin 0.04 sodium 139", "😀"},
	"writer-languages.docx":  {"Informe de alta El niño llegó con dolor torácico", "左室肥大の疑い。患者は発熱三十九度。病棟 한국어 환자", "troponin 0.04 sodium 139", "😀"},
}
