package doctor

import (
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Growth says how much room the archive's disk has and how fast it is used, in
// bytes.
type Growth struct {
	Size, Free int64   // of the file system
	LowWater   int64   // free bytes below which ingest stops
	Used       int64   // by the archive
	Daily      float64 // by which the archive grows a day; 0: not known, or it does not
}

const (
	fullWarning  = 90 * day // until the low-water mark is reached
	fullCritical = 14 * day
)

// ratesOver is the time over which an archive's growth is taken.
const ratesOver = 30 * day

// Measure measures the disk of the archive in data. size is the number of its
// entries; at returns how many of them there were at a time, and begun is when
// it was made. lowWater is the configured mark, 0 for the default.
func Measure(data string, lowWater int64, now, begun time.Time, size uint64, at func(time.Time) (uint64, error)) (*Growth, error) {
	free, total, err := Space(data)
	if err != nil {
		return nil, err
	}
	g := &Growth{Size: total, Free: free, LowWater: lowWater}
	if g.LowWater == 0 {
		g.LowWater = min(256<<20, total/10) // as archive.Options
	}
	if g.Used, err = usage(data); err != nil {
		return nil, err
	}
	over := min(now.Sub(begun), ratesOver)
	if size == 0 || over < day {
		return g, nil // a day's growth says nothing yet
	}
	before, err := at(now.Add(-over))
	if err != nil {
		return nil, err
	}
	if before < size {
		g.Daily = float64(g.Used) / float64(size) * float64(size-before) / (over.Hours() / 24)
	}
	return g, nil
}

// Space returns the free and all bytes of the file system on which path lies.
func Space(path string) (free, total int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return 0, 0, fmt.Errorf("measure the disk of %s: %w", path, err)
	}
	return int64(st.Bavail) * st.Bsize, int64(st.Blocks) * st.Bsize, nil // #nosec G115 -- a file system's size
}

// usage returns the bytes that the files below dir take. A file that goes away
// meanwhile takes none.
func usage(dir string) (bytes int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return missing(err)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return missing(err)
		}
		bytes += info.Size()
		return nil
	})
	return bytes, err
}

func missing(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// Left returns the time until the low-water mark is reached; ok is false when
// the growth is not known.
func (g *Growth) Left() (left time.Duration, ok bool) {
	if g.Daily <= 0 {
		return 0, false
	}
	days := float64(g.Free-g.LowWater) / g.Daily
	return time.Duration(math.Min(math.Max(days, 0), 36_500) * float64(day)), true
}

// Finding judges the room that is left: by the share that is free, as the alert
// rules do, and by how long it lasts.
func (g *Growth) Finding() Finding {
	const fix = "Enlarge the file system, or move the archive to a larger one (the operations guide says how). Nothing is lost when it is full: ingest stops at the low-water mark and the relay buffers, looking stays audited from the reserve."
	left, known := g.Left()
	text := fmt.Sprintf("%s of %s are free", bytesText(g.Free), bytesText(g.Size))
	if known {
		text += fmt.Sprintf("; at %s a day they last for %s", bytesText(int64(g.Daily)), span(left))
	}
	f := fine("disk", text)
	switch {
	case g.Free <= g.LowWater, g.Free < g.Size/20, known && left < fullCritical:
		f = fatal("disk", text, fix)
	case g.Free < g.Size*3/20, known && left < fullWarning:
		f = warn("disk", text, fix)
	}
	f = f.with("free_bytes", float64(g.Free)).with("size_bytes", float64(g.Size)).with("used_bytes", float64(g.Used)).with("low_water_bytes", float64(g.LowWater))
	if known {
		f = f.with("daily_bytes", math.Round(g.Daily)).with("days_left", math.Round(left.Hours()/24))
	}
	return f
}

// bytesText writes a number of bytes for people.
func bytesText(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, i := float64(n)/1024, 0
	for v >= 1024 && i < len(units)-1 {
		v, i = v/1024, i+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[i])
}
