package ldapsync

import (
	"errors"
	"slices"
	"testing"

	"holdfast/internal/adtest"
)

func TestRightsAreTried(t *testing.T) {
	fake, err := adtest.NewFake(t.TempDir(), adtest.Person{Account: "anna.lund"}, adtest.Person{Account: "bo.dahl"})
	if err != nil {
		t.Fatal(err)
	}
	defer fake.Close()
	if _, err := fake.AddGroup("wards", "anna.lund"); err != nil {
		t.Fatal(err)
	}
	o := Options{URLs: []string{fake.URL()}, CA: fake.CAFile(), Bind: adtest.BindDN, Base: []string{adtest.BaseDN}, GroupBase: []string{adtest.GroupsDN},
		Password: func() (string, error) { return adtest.BindPassword, nil }}
	r, err := TryRights(t.Context(), o)
	if err != nil || !r.Person || !r.Group || len(r.Writes) != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	// What everybody may change of themselves is nothing that the account can do.
	if err := fake.Set("holdfast-reader", "allowedAttributesEffective", "telephoneNumber"); err != nil {
		t.Fatal(err)
	}
	if r, err = TryRights(t.Context(), o); err != nil || len(r.Writes) != 0 {
		t.Errorf("%+v %v", r, err)
	}
	if err := fake.Set("anna.lund", "allowedAttributesEffective", "title", "member", "title"); err != nil {
		t.Fatal(err)
	}
	if err := fake.Set("wards", "allowedChildClassesEffective", "user"); err != nil {
		t.Fatal(err)
	}
	if r, err = TryRights(t.Context(), o); err != nil || !slices.Equal(r.Writes, []string{"member", "title", "user"}) {
		t.Errorf("%+v %v", r, err)
	}
	o.Base = []string{"OU=Nowhere," + adtest.BaseDN}
	var f *Failure
	if _, err = TryRights(t.Context(), o); !errors.As(err, &f) || f.Class != ClassBase {
		t.Errorf("%v", err)
	}
	o.URLs = nil
	if _, err = TryRights(t.Context(), o); err == nil {
		t.Error("no domain controller was enough")
	}
}
