package api

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/internal/role"
)

// handler answers one endpoint; an error before the first byte becomes the
// answer.
type handler func(http.ResponseWriter, *http.Request, *caller) error

// route is one way into the API. Its endpoints say who may take it: endpoint
// and, where it is set, also as well.
type route struct {
	name     string // method and path
	answer   handler
	endpoint role.Endpoint
	also     role.Endpoint
	only     string // role.ViaSocket or role.ViaHTTPS; "" for both
}

// routes is every way into the API. role's table says who may take which.
func (s *Server) routes() []route {
	return slices.Concat(s.docketRoutes(), s.backupRoutes(), s.restoreRoutes(), s.anchorRoutes(), s.noticeRoutes(), s.doctorRoutes(), s.pauseRoutes(), s.kitRoutes(), s.watchRoutes(), []route{
		{name: "GET /healthz", answer: s.healthz, endpoint: role.Healthz},
		{name: "GET /readyz", answer: s.readyz, endpoint: role.Readyz},
		{name: "GET /metrics", answer: s.serveMetrics, endpoint: role.Metrics, only: role.ViaSocket},

		{name: "POST /v1/login", answer: s.login, endpoint: role.Login, only: role.ViaHTTPS},
		{name: "POST /v1/logout", answer: s.logout, endpoint: role.Logout},
		{name: "GET /v1/whoami", answer: s.whoami, endpoint: role.Whoami},
		{name: "GET /v1/roles", answer: s.roles, endpoint: role.Roles},
		{name: "POST /v1/break-glass", answer: s.breakGlass, endpoint: role.BreakGlass, only: role.ViaSocket},

		{name: "GET /v1/status", answer: s.status, endpoint: role.Status},
		{name: "GET /v1/checkpoint", answer: s.checkpoint, endpoint: role.Checkpoint},
		{name: "POST /v1/verify", answer: s.verify, endpoint: role.Verify},

		{name: "POST /v1/search", answer: s.search, endpoint: role.Search},
		{name: "POST /v1/count", answer: s.countHits, endpoint: role.Count},
		{name: "POST /v1/show", answer: s.show, endpoint: role.Show},
		{name: "POST /v1/conversation", answer: s.conversation, endpoint: role.Conversation},
		{name: "POST /v1/timeline", answer: s.timeline, endpoint: role.Timeline},
		{name: "POST /v1/certify", answer: s.certify, endpoint: role.Certify},
		{name: "POST /v1/export", answer: s.export, endpoint: role.Export},
		{name: "POST /v1/export/ask", answer: s.askExport, endpoint: role.Export, also: role.RequestsMake},
		{name: "POST /v1/export/approved", answer: s.exportApproved, endpoint: role.Export, also: role.RequestsExecute},

		{name: "POST /v1/audit", answer: s.audit, endpoint: role.Audit},
		{name: "POST /v1/access-report", answer: s.accessReport, endpoint: role.AccessReport},
		{name: "POST /v1/sessions/list", answer: s.sessionsList, endpoint: role.SessionsList},

		{name: "POST /v1/alarms/list", answer: s.alarmsList, endpoint: role.AlarmsList},
		{name: "POST /v1/alarms/show", answer: s.alarmsShow, endpoint: role.AlarmsShow},
		{name: "POST /v1/alarms/ack", answer: s.alarmsAck, endpoint: role.AlarmsAck},

		{name: "POST /v1/directory/status", answer: s.directoryStatus, endpoint: role.DirectoryStatus},
		{name: "POST /v1/directory/diff", answer: s.directoryDiff, endpoint: role.DirectoryDiff},
		{name: "POST /v1/directory/sync", answer: s.directorySync, endpoint: role.DirectorySync},
		{name: "POST /v1/directory/approve", answer: s.directoryApprove, endpoint: role.DirectoryApprove},
		{name: "POST /v1/directory/people", answer: s.people, endpoint: role.DirectoryPeople},
		{name: "POST /v1/directory/person", answer: s.person, endpoint: role.DirectoryPerson},
		{name: "POST /v1/directory/matches", answer: s.matches, endpoint: role.DirectoryPeople},
		{name: "POST /v1/directory/match", answer: s.match, endpoint: role.DirectoryMatch},
		{name: "POST /v1/directory/block", answer: s.block, endpoint: role.DirectoryBlock},

		{name: "POST /v1/devices/list", answer: s.devicesList, endpoint: role.DevicesList},
		{name: "POST /v1/devices/approve", answer: s.devicesApprove, endpoint: role.DevicesApprove},
		{name: "POST /v1/devices/wipes", answer: s.devicesWipes, endpoint: role.DevicesWipes},
		{name: "POST /v1/devices/override", answer: s.devicesOverride, endpoint: role.DevicesOverride, also: role.RequestsMake},

		{name: "POST /v1/requests/list", answer: s.requestsList, endpoint: role.RequestsList},
		{name: "POST /v1/requests/show", answer: s.requestsShow, endpoint: role.RequestsList},
		{name: "POST /v1/requests/decide", answer: s.requestsDecide, endpoint: role.RequestsDecide},

		{name: "POST /v1/schedule/show", answer: s.scheduleShow, endpoint: role.ScheduleShow},
		{name: "POST /v1/schedule/apply", answer: s.scheduleApply, endpoint: role.ScheduleApply, also: role.RequestsMake},
		{name: "POST /v1/schedule/approved", answer: s.scheduleApproved, endpoint: role.ScheduleApply, also: role.RequestsExecute},

		{name: "POST /v1/matters/list", answer: s.mattersList, endpoint: role.MattersList},
		{name: "POST /v1/matters/show", answer: s.mattersShow, endpoint: role.MattersShow},
		{name: "POST /v1/matters/open", answer: s.mattersOpen, endpoint: role.MattersChange},
		{name: "POST /v1/matters/close", answer: s.mattersClose, endpoint: role.MattersChange},
		{name: "POST /v1/matters/member", answer: s.mattersMember, endpoint: role.MattersChange},

		{name: "POST /v1/holds/list", answer: s.holdsList, endpoint: role.HoldsList},
		{name: "POST /v1/holds/show", answer: s.holdsShow, endpoint: role.HoldsShow},
		{name: "POST /v1/holds/place", answer: s.holdsPlace, endpoint: role.HoldsChange},
		{name: "POST /v1/holds/widen", answer: s.holdsWiden, endpoint: role.HoldsChange},
		{name: "POST /v1/holds/preview", answer: s.holdsPreview, endpoint: role.HoldsChange},
		{name: "POST /v1/holds/ask", answer: s.holdsAsk, endpoint: role.HoldsChange, also: role.RequestsMake},
		{name: "POST /v1/holds/release", answer: s.holdsRelease, endpoint: role.HoldsChange, also: role.RequestsExecute},
		{name: "POST /v1/holds/cancel", answer: s.holdsCancel, endpoint: role.HoldsChange},
		{name: "POST /v1/holds/notice", answer: s.holdsNotice, endpoint: role.HoldsChange},
		{name: "POST /v1/holds/explain", answer: s.holdsExplain, endpoint: role.HoldsExplain},

		{name: "POST /v1/disposition/list", answer: s.dispositionList, endpoint: role.DispositionList},
		{name: "POST /v1/disposition/show", answer: s.dispositionShow, endpoint: role.DispositionShow},
		{name: "POST /v1/disposition/plan", answer: s.dispositionPlan, endpoint: role.DispositionPlan, also: role.RequestsMake},
		{name: "POST /v1/disposition/run", answer: s.dispositionRun, endpoint: role.DispositionRun, also: role.RequestsExecute},
		{name: "POST /v1/dispose/erase", answer: s.disposeErase, endpoint: role.ErasePlan, also: role.RequestsMake},
		{name: "POST /v1/reclassify", answer: s.reclassify, endpoint: role.ReclassPlan, also: role.RequestsMake},
		{name: "POST /v1/certificates/list", answer: s.certificatesList, endpoint: role.CertificatesList},
		{name: "POST /v1/certificates/show", answer: s.certificatesShow, endpoint: role.CertificatesShow},

		{name: "POST /v1/clock/show", answer: s.clockShow, endpoint: role.ClockShow},
		{name: "POST /v1/clock/release", answer: s.clockRelease, endpoint: role.ClockRelease},
		{name: "POST /v1/copies/list", answer: s.copiesList, endpoint: role.CopiesList},
		{name: "POST /v1/copies/note", answer: s.copiesNote, endpoint: role.CopiesChange},
		{name: "POST /v1/copies/gone", answer: s.copiesGone, endpoint: role.CopiesChange},

		{name: "POST /v1/factor/issue", answer: s.factorIssue, endpoint: role.FactorIssue},
		{name: "POST /v1/factor/reset", answer: s.factorReset, endpoint: role.FactorReset},
	})
}

// unknown answers whatever is none of the routes, the same for everybody.
func unknown(http.ResponseWriter, *http.Request, *caller) error {
	return &Problem{Title: "there is no such endpoint", Status: http.StatusNotFound, Code: CodeNotFound, Exit: ExitUsage,
		Hint: "the program and the daemon may be of different versions: compare `holdfast version` with `holdfast status`"}
}

// Handler returns the API's handler. Its requests must have passed a server
// whose ConnContext says who is at the other end, as Serve's and ServeTLS's do.
func (s *Server) Handler() http.Handler {
	// A table instead of http.ServeMux: that would answer a wrong path or method in plain text, or with a redirect.
	routes := map[string]http.Handler{}
	for _, rt := range s.routes() {
		routes[rt.name] = s.around(rt)
	}
	other := s.around(route{name: "other", answer: unknown})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h, ok := routes[r.Method+" "+r.URL.Path]
		if !ok {
			h = other
		}
		h.ServeHTTP(w, r)
	})
}

// around puts around a handler what all have in common: who may come here,
// problems for errors, and metrics.
func (s *Server) around(rt route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		out := &answer{ResponseWriter: w}
		harden(out.Header())
		if err := s.surviving(out, r, rt); err != nil {
			s.fail(out, r, rt.name, err)
		}
		s.metrics.observe(rt.name, out.code(), time.Since(began))
	})
}

// surviving answers, and makes an error of a fault of the program: it is told in
// the log by where it is and of which type, for its text and its stack may hold
// what was asked or read. A stream that it cut short lacks its end.
func (s *Server) surviving(out *answer, r *http.Request, rt route) (err error) {
	defer func() {
		if fault := recover(); fault != nil {
			err = fmt.Errorf("%w: %T at %s", errFault, fault, faultAt())
		}
	}()
	return s.answer(out, r, rt)
}

// errFault is a fault of the program that a request met.
var errFault = errors.New("a fault of the program")

// faultAt returns the file and line of ours where the panic that is recovered
// from began.
func faultAt() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if strings.HasPrefix(f.Function, "holdfast/") || !more {
			return filepath.Base(f.File) + ":" + strconv.Itoa(f.Line)
		}
	}
}

// harden says to whatever shows or keeps an answer that it is no page and is
// not to be kept. There is no CORS header: no page of another site reads this.
func harden(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Strict-Transport-Security", "max-age=31536000") // heeded over TLS alone, RFC 6797 section 8.1
}
