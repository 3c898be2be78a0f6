package command

import (
	"context"

	"github.com/spf13/cobra"

	"holdfast/internal/api"
)

func newDevices(g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "devices",
		Short: "List devices, approve one after comparing its fingerprint, and see to wipes",
		Example: `  holdfast devices list
  holdfast devices approve KID --fingerprint 'NzbL sXh8 uDCc …' --reason 'read out by phone, called back on the ward'`,
		Args: nameless,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDevicesList(g), newDevicesApprove(g), newDevicesWipes(g), newDevicesOverride(g))
	return cmd
}

func newDevicesList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the devices with their assurance and fingerprint",
		Long: `List the devices that the relay speaks of. Until somebody compared a device's fingerprint with its
owner and approved it, that the device is the owner's is the relay's word alone.`,
		Example: "  holdfast devices list\n  holdfast devices list --format json | jq '.devices[] | select(.approved == null)'",
		Args:    nameless,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDevicesList(cmd.Context(), g) },
	}
}

func runDevicesList(ctx context.Context, g *globals) error {
	list, err := ask(ctx, g, func(c *api.Client) (*api.DevicesResponse, error) { return c.Devices(ctx) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(list)
	}
	if len(list.Devices) == 0 {
		return g.say("no device is known")
	}
	rows := make([][]string, 0, len(list.Devices))
	for i := range list.Devices {
		d := &list.Devices[i]
		rows = append(rows, []string{d.Kid, d.Name, d.Usr, d.Dev, deviceStatus(d), stamp(d.Added), d.Fingerprint})
	}
	return g.writeTable([]string{"KID", "NAME", "RELAY USER", "DEVICE", "ASSURANCE", "ADDED (UTC)", "FINGERPRINT"}, rows)
}

// deviceStatus is how far a device is relied on.
func deviceStatus(d *api.Device) string {
	s := d.Assurance
	if d.Approved != nil {
		s += ", approved"
	}
	if d.Revoked {
		s += ", revoked"
	}
	return s
}

func newDevicesApprove(g *globals) *cobra.Command {
	var req api.ApproveDeviceRequest
	cmd := &cobra.Command{
		Use:   "approve KID --fingerprint TEXT --reason TEXT",
		Short: "Approve a device after its owner read its fingerprint out to you",
		Long: `Say that a device is its owner's. Have the owner read the fingerprint out from the device, over a
way on which you know that it is they (in person, or calling back a number that you had before), and
type what you hear: the daemon compares it with the key. Do not copy it from holdfast devices list,
which would compare the key with itself. Spaces do not count.`,
		Example: "  holdfast devices approve NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs \\\n    --fingerprint 'NzbL sXh8 uDCc d-6M NwXF 4W_7 noWX FZAf HkxZ sRGC 9Xs' --reason 'read out in person on ward 3'",
		Args:    exactly(1, "name one device by its KID, as `holdfast devices list` prints it"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req.Kid = args[0]
			if req.Fingerprint == "" {
				return usage("give with --fingerprint what the device's owner read out")
			}
			return runDevicesApprove(cmd.Context(), g, req)
		},
	}
	cmd.Flags().StringVar(&req.Fingerprint, "fingerprint", "", "what the owner read out: `TEXT`")
	cmd.Flags().StringVar(&req.Reason, "reason", "", "how you made sure, kept in the log: `TEXT`")
	return cmd
}

func runDevicesApprove(ctx context.Context, g *globals, req api.ApproveDeviceRequest) error {
	d, err := ask(ctx, g, func(c *api.Client) (*api.Device, error) { return c.ApproveDevice(ctx, req) })
	if err != nil {
		return err
	}
	if g.format == formatJSON {
		return g.writeJSON(d)
	}
	return g.writeFields([]field{
		{"device", d.Kid}, {"name", d.Name}, {"relay user", d.Usr}, {"assurance", deviceStatus(d)},
		{"approved", sinceStamp(d.Approved, "")}, {"by", d.By},
	})
}
